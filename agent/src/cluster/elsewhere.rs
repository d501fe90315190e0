//! `regprobe check --node=NODE` and `--all`: a round now on other nodes. `kubectl exec` runs the same command in the
//! pods of their agents. Of one node it is the report itself, of several the view of the fleet.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::bail;
use futures_util::{StreamExt, stream};

use super::{
    agents::{self, AT_ONCE, AgentPod},
    document::show,
    kubectl::{CallLimits, Ended, Kubectl},
};
use crate::{
    cli::{CheckArgs, DocumentOutput, FailOn, Output, PrivateArg},
    out::{
        fleet_view::{Answer, Heard},
        status::HeardStatus,
        summary::Summary,
    },
    printable::printable_lines,
    process::standard_streams::print,
};

/// For the rounds of one node.
const ROUND: CallLimits = CallLimits {
    bytes: 8 << 20,
    time: Duration::from_secs(120),
};

/// Checks on the nodes that `args` select.
pub(super) async fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let kubectl = &Kubectl::new(args.context.as_deref());
    let namespace = args.namespace.as_deref();
    let (pods, absent) = agents::chosen(kubectl, &args.nodes, namespace).await?;
    match (&*pods, args.output) {
        (_, Output::Npd) => bail!("--output=npd is for the node itself"),
        ([], _) if !args.nodes.is_empty() => bail!("no agent runs on {}", args.nodes.join(", ")),
        ([pod], Output::Text | Output::Json) if !args.all && absent.is_empty() => {
            let ended = exec(kubectl, pod, &typed(args, args.output)).await;
            report(ended.map_err(anyhow::Error::msg)?)
        }
        (_, output) => {
            let flags = typed(args, Output::Json);
            let heard = stream::iter(pods).map(|pod| ask(kubectl, pod, &flags));
            let heard: Vec<Heard> = heard.buffered(AT_ONCE).collect().await;
            let view = agents::view_of(&[heard, absent].concat());
            let output = match output {
                Output::Json => DocumentOutput::Json,
                Output::Text | Output::Npd => DocumentOutput::Text,
            };
            let status = show(&view, output)?;
            let is_degraded = view.condition == "degraded" && args.fail_on == FailOn::Degraded;
            Ok(if is_degraded {
                ExitCode::from(1)
            } else {
                status
            })
        }
    }
}

/// The report of one node as its agent prints it, and its exit status.
fn report(ended: Ended) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8_lossy(&ended.output);
    match (ended.failure, ended.code) {
        (Some(why), _) if text.is_empty() => bail!("{why}"),
        (_, code) => {
            print(&printable_lines(&text));
            let code = code.and_then(|code| code.try_into().ok());
            Ok(ExitCode::from(code.unwrap_or(2)))
        }
    }
}

async fn ask(kubectl: &Kubectl, pod: AgentPod, flags: &[String]) -> Heard {
    let answer = match exec(kubectl, &pod, flags).await {
        // It also exits with 1 if a registry is failing.
        Ok(ended) => match HeardStatus::read(&ended.output) {
            Some(status) => Answer::Summary(Arc::new(Summary::of_heard(status))),
            None => Answer::Nothing(
                ended
                    .failure
                    .unwrap_or_else(|| "its answer is not a status".to_owned()),
            ),
        },
        Err(why) => Answer::Nothing(why),
    };
    pod.heard(answer)
}

async fn exec(kubectl: &Kubectl, pod: &AgentPod, flags: &[String]) -> Result<Ended, String> {
    pod.expect_on_node()?;
    let namespace = format!("--namespace={}", pod.namespace);
    let exec = ["exec", &namespace, &pod.name, "--", "regprobe", "check"];
    let words = exec.into_iter().chain(flags.iter().map(String::as_str));
    kubectl.run(&words.collect::<Vec<_>>(), ROUND).await
}

/// The flags of this command that the agents get.
fn typed(args: &CheckArgs, output: Output) -> Vec<String> {
    let mut flags = vec![match output {
        Output::Json => "--output=json".to_owned(),
        Output::Text | Output::Npd => "--output=text".to_owned(),
    }];
    if let Some(ranges) = &args.private {
        let ranges = ranges.iter().map(|range| match range {
            PrivateArg::AnyPrivate => "true".to_owned(),
            PrivateArg::Range(range) => range.to_string(),
        });
        flags.push(format!(
            "--private={}",
            ranges.collect::<Vec<_>>().join(",")
        ));
    }
    flags.extend(args.regions.iter().map(|one| format!("--region={one}")));
    flags.extend(args.images.iter().map(|one| format!("--image={one}")));
    flags.extend(
        args.credentials
            .managed_identity
            .as_ref()
            .map(|id| match id {
                Some(id) => format!("--managed-identity={id}"),
                None => "--managed-identity".to_owned(),
            }),
    );
    if args.credentials.azure_json {
        flags.push("--azure-json".to_owned());
    }
    flags.extend(
        args.nameservers
            .iter()
            .map(|one| format!("--nameserver={one}")),
    );
    flags.extend(
        args.timeout
            .map(|time| format!("--timeout={}ms", time.as_millis())),
    );
    flags.extend(args.only.iter().map(|glob| format!("--only={glob}")));
    if args.fail_on == FailOn::Degraded {
        flags.push("--fail-on=degraded".to_owned());
    }
    flags.push("--".to_owned());
    flags.extend(args.registries.iter().cloned());
    flags
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(words: &[&str]) -> CheckArgs {
        let words = ["regprobe", "check"]
            .into_iter()
            .chain(words.iter().copied());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Check(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_agent_gets_what_was_typed() {
        let words = [
            "--output=json",
            "--private=10.0.0.0/8,10.1.0.0/16",
            "--region=westeurope",
            "--image=team/app:v1",
            "--nameserver=10.0.0.10:53",
            "--timeout=1500ms",
            "--only=con*",
            "--fail-on=degraded",
            "--",
            "contoso",
            "http://registry.example:5000",
        ];
        let (flags, registries) = words.split_at(8);
        let remote = [flags, &["--node=n1"], registries].concat();
        let sent = typed(&read(&remote), Output::Json);
        assert_eq!(sent, words);
        let flags = ["--all", "--private", "--managed-identity"];
        let expected = ["--output=text", "--private=true", "--managed-identity"];
        assert_eq!(typed(&read(&flags), Output::Text)[..3], expected);
    }

    #[test]
    fn what_is_of_this_machine_is_not_for_others() {
        for flag in [
            "--config.file=a",
            "--docker-config=/a",
            "--ca-file=a",
            "--node-root=/",
            "--watch",
        ] {
            for node in ["--node=n1", "--all"] {
                let words = ["regprobe", "check", flag, node];
                assert!(Cli::try_parse_from(words).is_err(), "{flag} {node}");
            }
        }
        for flag in ["--namespace=a", "--context=a"] {
            assert!(Cli::try_parse_from(["regprobe", "check", "contoso", flag]).is_err());
        }
        let both = ["regprobe", "check", "--all", "--node=n1"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
