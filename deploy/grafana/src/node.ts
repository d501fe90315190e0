// One node's path to its registries, stage by stage: what a pull from it encounters, and what its agent
// is doing.

import { BigValueTextMode } from "@grafana/grafana-foundation-sdk/common";
import { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";

import { NODE, RUNBOOK } from "./links";
import { page } from "./page";
import {
  CPU_WINDOW,
  lines,
  longNames,
  matrix,
  namedLines,
  now,
  number,
  overTime,
  rows,
  sortedBy,
  stackedBars,
  timeline,
  valueOf,
  width,
} from "./panels";
import {
  BAD,
  COLOURED,
  FAILED,
  GOOD,
  LIMIT,
  NEUTRAL,
  NONE_IS_BLANK,
  ON_THE_RIGHT,
  SEVERITY,
  VERDICT,
  WARNING,
  YES_OR_NO,
  colours,
  columnColours,
  linked,
  mapped,
  softMax,
  unit,
} from "./values";
import { ONE_NODE, cluster, datasource, endpoint, node as nodeVariable, registry } from "./variables";

const { agents, registries, endpoints } = ONE_NODE;

/** The labels that identify a finding. */
const FINDING = "registry, endpoint, role, code, severity";

/** The stages in the order of a pull. */
const PATH = ["resolve", "connect", "proxy", "tls", "challenge", "identity", "exchange", "token", "manifest", "blob", "http"];

const BY_STAGE = { row: { of: "endpoint", title: "Endpoint", properties: [width(300)] }, column: "stage", columns: PATH };

/** Selects the agent's own series from those that every process exports. */
const OF_AGENT = `and on (job, instance) regprobe_build_info{${agents}}`;

export function node(): Dashboard {
  return page({
    uid: NODE,
    title: "regprobe / Node",
    description: "The path of an image pull from one node, stage by stage.",
    from: "now-1h",
    refresh: "30s",
    variables: [datasource(), cluster(), nodeVariable(), registry(ONE_NODE), endpoint(ONE_NODE)],
    top: health(),
    sections: [
      ["The path, stage by stage", path()],
      ["DNS", dns()],
      ["Connections", connections()],
      ["The agent", agent()],
    ],
  });
}

function health() {
  const findings = `regprobe_finding{${endpoints}}`;
  const of = (severity: string) => `regprobe_finding{${endpoints}, severity="${severity}"}`;
  return [
    number("Verdict", "The worst verdict of any registry. Failing: a pull from it would fail now.")
      .withTarget(now(`max(regprobe_registry_verdict{${registries}})`))
      .mappings(VERDICT)
      .noValue("no agent")
      .span(4),
    number("Findings", "The number of findings that need attention; the table also shows those with severity info.")
      .withTarget(now(`count(regprobe_finding{${endpoints}, severity!="info"}) or vector(0)`))
      .thresholds(colours(GOOD, [1, WARNING]))
      .span(4),
    number("Longest outage", "The longest time that an endpoint has been down.")
      .withTarget(
        now(
          `max(time() - (regprobe_endpoint_last_success_timestamp_seconds{${endpoints}}` +
            ` and regprobe_endpoint_up{${endpoints}} == 0))`,
        ),
      )
      .unit("s")
      .thresholds(colours(BAD))
      .noValue("none")
      .span(4),
    number("Predicted pull delay", "How long a pull would wait for addresses and nameservers that do not respond; registries that fail are not included.")
      .withTarget(now(`max(regprobe_predicted_pull_delay_seconds{${registries}})`))
      .unit("s")
      .thresholds(colours(GOOD, [1, WARNING]))
      .noValue("all pulls fail")
      .span(4),
    number("Next certificate expiry", "Days until the next certificate in any endpoint's chain expires.")
      .withTarget(now(`min(${daysLeft()})`))
      .unit("suffix:days")
      .decimals(0)
      .thresholds(colours(BAD, [3, WARNING], [14, GOOD]))
      .noValue("no certificate")
      .span(4),
    number("Agent", "The agent's version and uptime.")
      .withTarget(
        now(
          `time() - process_start_time_seconds{${agents}}` +
            ` * on (job, instance) group_left (version) regprobe_build_info{${agents}}`,
        ).legendFormat("{{version}}"),
      )
      .unit("s")
      .textMode(BigValueTextMode.ValueAndName)
      .wideLayout(false)
      .thresholds(colours(NEUTRAL))
      .noValue("no agent")
      .span(4),
    timeline("Verdict by registry", "Degraded: pulls work, but something is wrong or slow.", VERDICT)
      .withTarget(overTime(`max by (registry) (regprobe_registry_verdict{${registries}})`, "{{registry}}"))
      .noValue("no agent")
      .span(10)
      .height(7),
    rows(
      "Findings",
      "What is wrong or worth knowing. Each finding links to its runbook.",
      [
        now(`sort_desc(max by (${FINDING}) (3 * ${of("critical")} or 2 * ${of("warning")} or ${of("info")}))`, "A"),
        now(
          `1000 * min_over_time(min by (${FINDING}) (timestamp(${findings}))[$__range:$__interval])` +
            ` and max by (${FINDING}) (${findings}) or 1000 * min by (${FINDING}) (timestamp(${findings}))`,
          "B",
        ),
      ],
      [
        { of: "severity", title: "Severity", properties: [width(85), mapped(SEVERITY), COLOURED] },
        { of: "code", title: "Finding", properties: [width(200), linked(RUNBOOK)] },
        { of: "registry", title: "Registry", properties: [width(120)] },
        { of: "role", title: "Role", properties: [width(70)] },
        { of: "endpoint", title: "Endpoint" },
        { of: valueOf("B"), title: "First seen", properties: [width(150), unit("dateTimeFromNow")] },
      ],
    )
      .noValue("none")
      .span(14)
      .height(7),
  ];
}

function path() {
  return [
    timeline(
      "Failed attempts by stage",
      "Attempts in the last two minutes; for requests, the last five; for images, the last thirty. A gap means that" +
        " the stage did not run, because an earlier one failed or its round is not due yet.",
      FAILED,
    )
      .withTarget(overTime(failed("resolve", "2m"), "{{stage}} {{endpoint}}", "A"))
      .withTarget(overTime(failed("connect|proxy|tls", "2m"), "{{stage}} {{endpoint}}", "B"))
      .withTarget(overTime(failed("challenge|http|token", "5m"), "{{stage}} {{endpoint}}", "C"))
      .withTarget(overTime(failed("manifest|blob", "30m"), "{{stage}} {{endpoint}}", "D"))
      .unit("none")
      .noValue("no attempts")
      .span(14)
      .height(13),
    stackedBars("Failed attempts by reason", "Each stage has its own reasons; the documentation lists them.")
      .withTarget(
        overTime(
          `sum by (stage, reason) (rate(regprobe_stage_failures_total{${endpoints}}[$__rate_interval])) * 60 > 0`,
          "{{stage}}: {{reason}}",
        ),
      )
      .unit("suffix:/min")
      .noValue("none")
      .span(10)
      .height(13),
    matrix(
      "Failed attempts in the time range",
      "The share of attempts at each stage that failed. Empty: the endpoint has no such stage, or it did not run.",
      now(shareFailed(".+", "$__range")),
      BY_STAGE,
    )
      .unit("percentunit")
      .decimals(0)
      .thresholds(colours(GOOD, [0.001, WARNING], [0.95, BAD]))
      .mappings(NONE_IS_BLANK)
      .overrideByRegexp(PATH.join("|"), [COLOURED])
      .noValue(""),
    matrix(
      "Mean duration of each stage in the time range",
      "Successful attempts only. Stages do not overlap: the sum of a row is the duration of the whole path.",
      now(
        `sum by (endpoint, stage) (increase(regprobe_stage_duration_seconds_sum{${endpoints}}[$__range]))` +
          ` / (sum by (endpoint, stage) (increase(regprobe_stage_duration_seconds_count{${endpoints}}[$__range])) > 0)`,
      ),
      BY_STAGE,
    )
      .unit("s")
      .noValue(""),
    lines("Median of each stage", "The duration of successful attempts.")
      .withTarget(overTime(quantile(0.5), "{{stage}}"))
      .unit("s")
      .noValue("no histograms: metrics.histograms is false")
      .span(12),
    lines("99th percentile of each stage", "The duration of successful attempts.")
      .withTarget(overTime(quantile(0.99), "{{stage}}"))
      .unit("s")
      .noValue("no histograms: metrics.histograms is false")
      .span(12),
  ];
}

function dns() {
  const pair = "registry, endpoint, nameserver";
  return [
    rows(
      "Answers",
      "What each nameserver currently returns. Expected: in the registry's expected ranges. Private: not reachable from" +
        " the internet.",
      [
        now(`max by (${pair}, addresses) (regprobe_dns_answer_info{${endpoints}})`, "A"),
        now(`min by (${pair}) (regprobe_dns_answer_expected{${endpoints}})`, "B"),
        now(`min by (${pair}) (regprobe_dns_answer_private{${endpoints}})`, "C"),
        now(`min by (${pair}) (regprobe_dns_answer_ttl_seconds{${endpoints}})`, "D"),
      ],
      [
        { of: "endpoint", title: "Endpoint" },
        { of: "nameserver", title: "Nameserver", properties: [width(170)] },
        { of: "addresses", title: "Addresses" },
        { of: valueOf("B"), title: "Expected", properties: [width(85), mapped(YES_OR_NO), COLOURED] },
        { of: valueOf("C"), title: "Private", properties: [width(75), mapped(YES_OR_NO)] },
        { of: valueOf("D"), title: "TTL", properties: [width(75), unit("s")] },
      ],
    )
      .sortBy([sortedBy("Expected")])
      .noValue("no answer")
      .span(24),
    stackedBars("Lookups by nameserver and result", "The agent's DNS lookups; A and AAAA count as one.")
      .withTarget(
        overTime(
          `sum by (nameserver, result) (rate(regprobe_dns_lookups_total{${endpoints}}[$__rate_interval])) * 60 > 0`,
          "{{nameserver}} {{result}}",
        ),
      )
      .unit("suffix:/min")
      .noValue("no queries")
      .span(8),
    namedLines("Lookup duration, mean", "Only lookups that got an answer; a nameserver that does not respond has no duration.")
      .withTarget(
        overTime(
          `sum by (nameserver) (rate(regprobe_dns_lookup_duration_seconds_sum{${endpoints}}[$__rate_interval]))` +
            ` / (sum by (nameserver) (rate(regprobe_dns_lookup_duration_seconds_count{${endpoints}}[$__rate_interval])) > 0)`,
          "{{nameserver}}",
        ),
      )
      .unit("s")
      .span(8),
    stackedBars("Changed answers", "How often a nameserver returned a different set of addresses than before. Rotation does not count.")
      .withTarget(
        overTime(
          `sum by (endpoint, nameserver) (increase(regprobe_dns_answer_changes_total{${endpoints}}[$__rate_interval]))`,
          "{{endpoint}} from {{nameserver}}",
        ),
      )
      .legend(longNames())
      .unit("short")
      .axisSoftMax(1)
      .span(8),
  ];
}

function connections() {
  const handshake = "registry, endpoint";
  return [
    rows(
      "TLS",
      "What the last TLS handshake with each endpoint negotiated, and when the next certificate in its chain expires.",
      [
        now(`max by (${handshake}, issuer, version, group, cipher) (regprobe_tls_info{${endpoints}})`, "A"),
        now(`min by (${handshake}) (${daysLeft()})`, "B"),
      ],
      [
        { of: "endpoint", title: "Endpoint" },
        { of: "issuer", title: "Issuer" },
        { of: "version", title: "Version", properties: [width(80)] },
        { of: "group", title: "Key exchange", properties: [width(140)] },
        { of: "cipher", title: "Cipher", properties: [width(250)] },
        {
          of: valueOf("B"),
          title: "Days left",
          properties: [
            width(90),
            { id: "decimals", value: 1 },
            columnColours(BAD, [3, WARNING], [14, GOOD]),
            COLOURED,
          ],
        },
      ],
    )
      .sortBy([sortedBy("Days left")])
      .noValue("no handshake")
      .span(24)
      .height(7),
    namedLines("TCP RTT", "The round-trip time of the last connection, as measured by the kernel.")
      .withTarget(overTime(`max by (endpoint) (regprobe_tcp_rtt_seconds{${endpoints}})`, "{{endpoint}}"))
      .unit("s")
      .span(6),
    namedLines("TCP retransmits", "Retransmits while connecting. They mean packet loss on the path.")
      .withTarget(
        overTime(
          `sum by (endpoint) (rate(regprobe_tcp_retransmits_total{${endpoints}}[$__rate_interval])) * 60`,
          "{{endpoint}}",
        ),
      )
      .unit("suffix:/min")
      .axisSoftMax(1)
      .span(6),
    namedLines(
      "Layer download",
      "How fast a part of a layer came in the last round with images, and the floor below which it is a finding." +
        " Only for registries with `throughput` in the configuration.",
    )
      .withTarget(
        overTime(`min by (endpoint) (regprobe_blob_throughput_bytes_per_second{${endpoints}})`, "{{endpoint}}", "A"),
      )
      .withTarget(
        overTime(
          `max by (registry) (regprobe_blob_throughput_floor_bytes_per_second{${registries}})`,
          "floor of {{registry}}",
          "B",
        ),
      )
      .overrideByRegexp("floor of .*", LIMIT)
      .unit("binBps")
      .noValue("not measured: no registry has throughput")
      .span(6),
    lines("Clock skew", "This node's clock minus the registry's. Beyond 60 s, tokens may fail.")
      .withTarget(overTime(`max by (registry) (regprobe_clock_skew_seconds{${registries}})`, "{{registry}}"))
      .unit("s")
      .span(6),
  ];
}

function agent() {
  return [
    lines("Memory and CPU", "Used by the agent on this node.")
      .withTarget(overTime(`process_resident_memory_bytes{${agents}} ${OF_AGENT}`, "memory", "A"))
      .withTarget(overTime(`rate(process_cpu_seconds_total{${agents}}[${CPU_WINDOW}]) ${OF_AGENT}`, "CPU", "B"))
      .unit("bytes")
      .overrideByName("CPU", [unit("percentunit"), softMax(0.01), ON_THE_RIGHT])
      .span(6),
    lines("Late rounds", "How late rounds start. An agent without enough CPU is late.")
      .withTarget(
        overTime(
          `histogram_quantile(0.99, sum by (le) (rate(regprobe_schedule_lag_seconds_bucket{${agents}}[$__rate_interval])))`,
          "99th percentile",
        ),
      )
      .unit("s")
      .span(6),
    stackedBars("Rounds skipped", "overrun: the previous round was still running. node: the node's files could not be read. panic: a bug in the agent. suspend: the machine was suspended.")
      .withTarget(
        overTime(
          `sum by (why) (increase(regprobe_rounds_skipped_total{${agents}}[$__rate_interval]))`,
          "{{why}}",
        ),
      )
      .unit("short")
      .axisSoftMax(1)
      .span(6),
    lines("Intervals", "The interval between rounds of each kind; intervals with requests grow with the fleet.")
      .withTarget(
        overTime(`max by (kind) (regprobe_effective_interval_seconds{${registries}})`, "{{kind}}"),
      )
      .unit("s")
      .span(6),
  ];
}

/** The share of failed attempts of each endpoint at each of these stages. */
function shareFailed(stages: string, window: string): string {
  const counted = (family: string) =>
    `sum by (endpoint, stage) (increase(regprobe_stage_${family}_total{${endpoints}, stage=~"${stages}"}[${window}]))`;
  return `((${counted("failures")} or 0 * ${counted("attempts")}) / (${counted("attempts")} > 0))`;
}

/** 0 if no attempt failed, 2 if all did, and 1 otherwise; the factor makes up for rounding between two rates. */
function failed(stages: string, window: string): string {
  return `ceil(1.05 * ${shareFailed(stages, window)})`;
}

function quantile(of: number): string {
  return (
    `histogram_quantile(${of}, sum by (le, stage)` +
    ` (rate(regprobe_stage_duration_seconds_bucket{${endpoints}}[$__rate_interval])))`
  );
}

function daysLeft(): string {
  return `(regprobe_tls_certificate_not_after_timestamp_seconds{${endpoints}} - time()) / 86400`;
}
