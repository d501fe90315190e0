//! Shell completions and the manual page. A test generates them from [`super::Cli`] and compares them
//! with what is committed in `deploy/shell`; the program only prints them.

use super::Shell;

/// The manual page.
pub(crate) const MANUAL: &str = include_str!("../../../deploy/shell/regprobe.1");

/// The script to source in `shell`.
pub(crate) fn completions(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../../deploy/shell/regprobe.bash"),
        Shell::Zsh => include_str!("../../../deploy/shell/_regprobe"),
        Shell::Fish => include_str!("../../../deploy/shell/regprobe.fish"),
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, io::Write, path::Path};

    use clap::CommandFactory;
    use clap_complete::shells;
    use clap_mangen::{
        Man,
        roff::{Roff, bold, roman},
    };

    use super::*;
    use crate::cli::{
        CHECK_STATUS, Cli, RUN_STATUS,
        cluster::{FLEET_STATUS, WHY_STATUS},
    };

    /// Where the generated script gets the previous word.
    const PREVIOUS: &str = "    prev=\"$3\"\n";
    /// For bash, `--flag=value` is three words.
    const EQUALS: &str = r#"    if [[ "${COMP_WORDS[COMP_CWORD]}" == "=" ]]; then
        cur=""
        prev="${COMP_WORDS[COMP_CWORD-1]}"
    elif [[ "${COMP_WORDS[COMP_CWORD-1]}" == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
"#;

    /// `UPDATE_GOLDEN=1 cargo test` writes the files.
    #[test]
    fn committed_files_match_the_command_line() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/shell");
        let mut outdated = Vec::new();
        for (name, committed, generated) in [
            (
                "regprobe.bash",
                completions(Shell::Bash),
                script(shells::Bash).replacen(PREVIOUS, &format!("{PREVIOUS}{EQUALS}"), 1),
            ),
            ("_regprobe", completions(Shell::Zsh), script(shells::Zsh)),
            (
                "regprobe.fish",
                completions(Shell::Fish),
                script(shells::Fish),
            ),
            ("regprobe.1", MANUAL, manual()),
        ] {
            if env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(folder.join(name), generated).unwrap();
            } else if generated != committed {
                outdated.push(name);
            }
        }
        assert!(
            outdated.is_empty(),
            "{outdated:?}: run with UPDATE_GOLDEN=1"
        );
    }

    fn script(shell: impl clap_complete::Generator) -> String {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "regprobe", &mut script);
        String::from_utf8(script).unwrap()
    }

    /// One page: the program, then each command with its options.
    fn manual() -> String {
        let hide = |argument: clap::Arg| argument.hide(true);
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let mut page = Vec::new();
        let man = Man::new(program.clone())
            .date("")
            .source(concat!("regprobe ", env!("CARGO_PKG_VERSION")));
        man.render_title(&mut page).unwrap();
        man.render_name_section(&mut page).unwrap();
        man.render_synopsis_section(&mut page).unwrap();
        for command in program.get_subcommands().cloned() {
            writeln!(page, ".SH REGPROBE {}", command.get_name().to_uppercase()).unwrap();
            let command = command.mut_arg("help", hide).mut_arg("version", hide);
            let has_options = command.get_arguments().any(|option| !option.is_hide_set());
            let man = Man::new(command);
            let mut section = Vec::new();
            man.render_description_section(&mut section).unwrap();
            man.render_synopsis_section(&mut section).unwrap();
            if has_options {
                man.render_options_section(&mut section).unwrap();
            }
            let section = String::from_utf8(section).unwrap();
            page.extend(section.replace(".SH ", ".SS ").bytes());
        }
        more().to_writer(&mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    /// What clap does not know: exit statuses, environment, files, examples.
    fn more() -> Roff {
        let mut page = Roff::new();
        page.control("SH", ["EXIT STATUS"]);
        for (command, status) in [
            ("check", CHECK_STATUS),
            ("fleet", FLEET_STATUS),
            ("why", WHY_STATUS),
            ("run", RUN_STATUS),
        ] {
            let status = status.trim_start_matches("Exit status: ");
            page.control("TP", [])
                .text([bold(command)])
                .text([roman(status)]);
        }
        page.control("SH", ["ENVIRONMENT"]);
        for (name, what) in [
            (
                "NODE_NAME",
                "The name of this node; default: its host name.",
            ),
            (
                "SSL_CERT_FILE, SSL_CERT_DIR",
                "Where the trusted certificates are, as in OpenSSL.",
            ),
            (
                "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
                "The node's proxy, by the rules of Go's net/http.",
            ),
            ("NO_COLOR", "Any value disables colours."),
        ] {
            page.control("TP", [])
                .text([bold(name)])
                .text([roman(what)]);
        }
        page.control("SH", ["FILES"]);
        for (name, what) in [
            (
                "/etc/regprobe/config.yaml",
                "The configuration that check uses when the command line names neither a registry nor a configuration.",
            ),
            (
                "/etc/resolv.conf, /etc/hosts, /etc/containerd/certs.d",
                "Read for every round, as containerd reads them for every pull.",
            ),
        ] {
            page.control("TP", [])
                .text([bold(name)])
                .text([roman(what)]);
        }
        page.control("SH", ["EXAMPLES"]);
        for (example, what) in [
            (
                "regprobe check myregistry --region=westeurope --private",
                "Check whether this node can pull from myregistry.azurecr.io through its private endpoint.",
            ),
            (
                "regprobe check --output=json > ticket.json",
                "Check the registries that this node is known to use, and write everything that was seen, without \
                 secrets.",
            ),
            (
                "regprobe check --watch=30s",
                "Check every 30 seconds and report what changes.",
            ),
            (
                "kubectl regprobe why web-5d8f9c -n shop",
                "Say why a pod cannot pull, through kubectl, for which the same binary is a plugin.",
            ),
            (
                "regprobe explain PrivateLinkRecordMissing",
                "Explain what a finding means and how to fix it.",
            ),
        ] {
            page.control("TP", [])
                .text([bold(example)])
                .text([roman(what)]);
        }
        page
    }
}
