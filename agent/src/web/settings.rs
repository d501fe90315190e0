//! What `--web.config.file` says of the web server: TLS, passwords, headers and a limit of requests, in
//! the format that the exporters of Prometheus share. Source: prometheus/exporter-toolkit,
//! `docs/web-configuration.md`. What that format allows and is not safe is refused, with what to write.

mod current;
mod error;
mod file;
mod sources;
mod tls;

pub(crate) use self::current::CurrentSettings;
pub(super) use self::file::Settings;
