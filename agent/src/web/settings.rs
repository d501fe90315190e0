//! The web server's settings from `--web.config.file`: TLS, passwords, headers and a rate limit, in the format
//! that Prometheus exporters share. Source: prometheus/exporter-toolkit, `docs/web-configuration.md`.
//! Settings that the format allows but that are not safe are refused, with what to write instead.

mod current;
mod error;
mod file;
mod sources;
mod tls;

pub(crate) use self::current::CurrentSettings;
pub(super) use self::file::Settings;
