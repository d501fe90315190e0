// All nodes of a cluster, or of several: is anything wrong, where, since when, and why. What is told
// by node is told of the worst nodes only, so that it can be read whatever their number.

import { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";

import { FLEET, NODE_OF_CELL, NODE_OF_SERIES, RUNBOOK } from "./links";
import { page } from "./page";
import {
  CPU_WINDOW,
  lines,
  longNames,
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
  GOOD,
  NEUTRAL,
  NONE_IS_GOOD,
  ON_THE_RIGHT,
  SEVERITY,
  VERDICT,
  WARNING,
  colours,
  columnColours,
  fixedColour,
  linked,
  mapped,
  softMax,
  unit,
} from "./values";
import { ALL_NODES, MANY_NODES, cluster, datasource, endpoint, nodes, registry } from "./variables";

const { agents, registries, endpoints } = MANY_NODES;

/** The worst verdict of each node. */
const VERDICT_OF_NODE = `max by (cluster, node) (regprobe_registry_verdict{${registries}})`;

/** What tells one finding from another, whichever nodes see it. */
const FINDING = "cluster, registry, endpoint, code, severity";
const FINDINGS = finding('severity!="info"');

/** Of panels that draw what recording rules have summed. */
const RECORDED = "Of all nodes, whatever node is chosen; it takes the recording rules of deploy/prometheus.";

/** The stages that a registry counts as requests. */
const REQUESTS = 'stage=~"challenge|token|manifest|blob|http"';

export function fleet(): Dashboard {
  return page({
    uid: FLEET,
    title: "regprobe / Fleet",
    description: "Whether the nodes can pull images, and if not, which, since when and why.",
    from: "now-3h",
    refresh: "1m",
    variables: [datasource(), cluster(), nodes(), registry(MANY_NODES), endpoint(MANY_NODES)],
    top: health(),
    sections: [
      ["Since when, and where", course()],
      ["Why", causes()],
      ["Names", names()],
      ["Speed", speed()],
      ["Certificates", certificates()],
      ["Agents, and what they ask of the registries", load()],
    ],
  });
}

function health() {
  const nodesThatAre = (verdict: number) => `count(${VERDICT_OF_NODE} == ${verdict}) or vector(0)`;
  return [
    number("Nodes that cannot pull", "Nodes on which a registry is failing: a pull through it would fail now.")
      .withTarget(now(nodesThatAre(2)))
      .thresholds(colours(GOOD, [1, BAD]))
      .span(4),
    number("Nodes degraded", "Nodes on which a pull would work, but something is wrong or slow.")
      .withTarget(now(nodesThatAre(1)))
      .thresholds(colours(GOOD, [1, WARNING]))
      .span(4),
    number("Longest outage", "The longest time since an endpoint that is down was last up, of all nodes.")
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
    number("First certificate to end", "Days until the first certificate of an endpoint's chain ends, of all nodes.")
      .withTarget(now(`min(${daysLeft()})`))
      .unit("suffix:days")
      .decimals(0)
      .thresholds(colours(BAD, [3, WARNING], [14, GOOD]))
      .noValue("none seen")
      .span(4),
    number("Nodes watched", "Nodes whose agents Prometheus scrapes.")
      .withTarget(now(`count(count by (cluster, node) (regprobe_build_info{${agents}}))`))
      .thresholds(colours(NEUTRAL))
      .noValue("none")
      .span(4),
    number("Agents not answering", "Agents that Prometheus cannot scrape. Of their nodes nothing is known.")
      .withTarget(
        now(`count(up{${agents}} == 0 and on (job) group by (job) (regprobe_build_info{${agents}})) or vector(0)`),
      )
      .thresholds(colours(GOOD, [1, WARNING]))
      .span(4),
    rows(
      "Findings",
      "What is wrong, once for all nodes that see it. What many nodes see at once lies with the registry, its" +
        " network or its DNS; what one of many sees lies with that node. The finding leads to its runbook.",
      [
        now(`sort_desc(count by (${FINDING}) (${FINDINGS}))`, "A"),
        now(
          `count by (${FINDING}) (${FINDINGS}) / on (cluster, registry) group_left` +
            ` count by (cluster, registry) (regprobe_registry_verdict{${registries}})`,
          "B",
        ),
        now(
          `1000 * min_over_time(min by (${FINDING}) (timestamp(${FINDINGS}))[$__range:$__interval])` +
            ` and count by (${FINDING}) (${FINDINGS}) or 1000 * min by (${FINDING}) (timestamp(${FINDINGS}))`,
          "C",
        ),
      ],
      [
        { of: "severity", title: "Severity", properties: [width(85), mapped(SEVERITY), COLOURED] },
        { of: "code", title: "Finding", properties: [width(200), linked(RUNBOOK)] },
        { of: "cluster", title: "Cluster", properties: [width(110)] },
        { of: "registry", title: "Registry", properties: [width(120)] },
        { of: "endpoint", title: "Endpoint" },
        { of: valueOf("A"), title: "Nodes", properties: [width(70)] },
        { of: valueOf("B"), title: "Of all", properties: [width(70), unit("percentunit")] },
        { of: valueOf("C"), title: "First seen", properties: [width(150), unit("dateTimeFromNow")] },
      ],
    )
      .sortBy([sortedBy("Severity")])
      .noValue("none")
      .span(17),
    stackedBars("Nodes by verdict", "How many nodes are degraded and failing, one on top of the other.")
      .withTarget(overTime(`count(${VERDICT_OF_NODE} == 2) or vector(0)`, "failing", "A"))
      .withTarget(overTime(`count(${VERDICT_OF_NODE} == 1) or vector(0)`, "degraded", "B"))
      .overrideByName("failing", [fixedColour(BAD)])
      .overrideByName("degraded", [fixedColour(WARNING)])
      .unit("short")
      .decimals(0)
      .axisSoftMax(1)
      .span(7),
  ];
}

function course() {
  const unexpected = `sum by (registry, endpoint, nameserver) (regprobe_dns_answer_expected{${endpoints}} == bool 0)`;
  const down = `sum by (registry, endpoint, role) (regprobe_endpoint_up{${endpoints}} == bool 0)`;
  return [
    timeline(
      "Verdict by node",
      "The 20 nodes whose verdicts were worst in the time shown. A node leads to its path.",
      VERDICT,
    )
      .withTarget(overTime(worst(20, VERDICT_OF_NODE, "cluster, node", "> 0"), "{{node}}"))
      .overrideByRegexp(".*", [linked(NODE_OF_SERIES)])
      .noValue("no node was degraded or failing")
      .span(14)
      .height(13),
    rows(
      "Nodes with findings",
      "No more than 100 findings, critical ones first. The node leads to its path, stage by stage.",
      [now(`topk(100, 2 * ${finding('severity="critical"')} or ${finding('severity="warning"')})`)],
      [
        { of: "node", title: "Node", properties: [linked(NODE_OF_CELL)] },
        { of: "severity", title: "Severity", properties: [width(85), mapped(SEVERITY), COLOURED] },
        { of: "code", title: "Finding", properties: [width(200), linked(RUNBOOK)] },
      ],
    )
      .sortBy([sortedBy("Severity")])
      .noValue("none")
      .span(10)
      .height(13),
    timeline(
      "Drift: nodes with an address that is not expected",
      "How many nodes a nameserver gives an address outside the ranges where the registry is expected." +
        " The 20 worst pairs of endpoint and nameserver.",
      NONE_IS_GOOD,
    )
      .withTarget(
        overTime(worst(20, unexpected, "registry, endpoint, nameserver"), "{{endpoint}} by {{nameserver}}"),
      )
      .unit("suffix:nodes")
      .noValue("no nameserver was asked")
      .span(12),
    timeline(
      "Endpoints down",
      "On how many nodes a pull would not get through at an endpoint. The 20 worst endpoints.",
      NONE_IS_GOOD,
    )
      .withTarget(overTime(worst(20, down, "registry, endpoint, role"), "{{role}} {{endpoint}}"))
      .unit("suffix:nodes")
      .noValue("no endpoint was probed")
      .span(12),
  ];
}

function causes() {
  const failed = `regprobe_stage_failures_total{${endpoints}}[15m]`;
  const what = "registry, endpoint, role, stage, reason";
  return [
    rows(
      "Failing endpoints",
      "Stages of the path that failed in the last 15 minutes, the 50 that failed on most nodes.",
      [
        now(`topk(50, count by (${what}) (increase(${failed}) > 0))`, "A"),
        now(`sum by (${what}) (rate(${failed})) * 60 > 0`, "B"),
      ],
      [
        { of: "endpoint", title: "Endpoint" },
        { of: "role", title: "Role", properties: [width(70)] },
        { of: "stage", title: "Stage", properties: [width(90)] },
        { of: "reason", title: "Reason", properties: [width(140)] },
        { of: valueOf("A"), title: "Nodes", properties: [width(75)] },
        { of: valueOf("B"), title: "Per minute", properties: [width(95), unit("short")] },
      ],
    )
      .sortBy([sortedBy("Nodes", true)])
      .noValue("none")
      .span(12),
    stackedBars(
      "Failed attempts by stage and reason",
      `Each stage has reasons of its own; the README has all of them. ${RECORDED}`,
    )
      .withTarget(
        overTime(
          `sum by (stage, reason) (endpoint_stage_reason:regprobe_stage_failures:rate5m{${ALL_NODES}}) * 60 > 0`,
          "{{stage}}: {{reason}}",
        ),
      )
      .unit("suffix:/min")
      .noValue("none")
      .span(12),
  ];
}

function names() {
  const lookups = "endpoint_nameserver_result:regprobe_dns_lookups:rate5m";
  const answers = "registry, endpoint, nameserver";
  return [
    rows(
      "Answers by nameserver",
      "Expected: how many nodes are given addresses in the ranges where the registry is expected. Private: addresses" +
        " that are not reachable from the internet.",
      [
        now(`topk(50, count by (${answers}) (regprobe_dns_answer_expected{${endpoints}}))`, "A"),
        now(`avg by (${answers}) (regprobe_dns_answer_expected{${endpoints}})`, "B"),
        now(`avg by (${answers}) (regprobe_dns_answer_private{${endpoints}})`, "C"),
        now(`min by (${answers}) (regprobe_dns_answer_ttl_seconds{${endpoints}})`, "D"),
      ],
      [
        { of: "endpoint", title: "Endpoint" },
        { of: "nameserver", title: "Nameserver", properties: [width(190)] },
        { of: valueOf("A"), title: "Nodes", properties: [width(75)] },
        {
          of: valueOf("B"),
          title: "Expected",
          properties: [width(85), unit("percentunit"), columnColours(BAD, [1, GOOD]), COLOURED],
        },
        { of: valueOf("C"), title: "Private", properties: [width(75), unit("percentunit")] },
        { of: valueOf("D"), title: "Lowest TTL", properties: [width(95), unit("s")] },
      ],
    )
      .sortBy([sortedBy("Expected")])
      .noValue("no answer")
      .span(14),
    stackedBars("Changed answers", "Another set of addresses than before. A registry whose addresses rotate keeps its set.")
      .withTarget(
        overTime(
          `sum by (endpoint, nameserver) (increase(regprobe_dns_answer_changes_total{${endpoints}}[$__rate_interval]))`,
          "{{endpoint}} by {{nameserver}}",
        ),
      )
      .legend(longNames())
      .unit("short")
      .axisSoftMax(1)
      .span(10),
    stackedBars(
      "Lookups by nameserver and result",
      `Questions that the agents asked, those for both address families as one. ${RECORDED}`,
    )
      .withTarget(
        overTime(`sum by (nameserver, result) (${lookups}{${ALL_NODES}}) > 0`, "{{nameserver}} {{result}}"),
      )
      .unit("suffix:/s")
      .noValue("no nameserver was asked")
      .span(8),
    namedLines("Lookups that failed", `The share of questions without an answer that names an address. ${RECORDED}`)
      .withTarget(
        overTime(
          `1 - sum by (nameserver) (${lookups}{${ALL_NODES}, result="noerror"})` +
            ` / sum by (nameserver) (${lookups}{${ALL_NODES}})`,
          "{{nameserver}}",
        ),
      )
      .unit("percentunit")
      .max(1)
      .span(8),
    namedLines(
      "Time to an answer, 99th percentile",
      `Of answers only: a nameserver that is silent has no time. ${RECORDED}`,
    )
      .withTarget(
        overTime(
          `histogram_quantile(0.99, sum by (le, nameserver)` +
            ` (endpoint_nameserver_le:regprobe_dns_lookup_duration_seconds_bucket:rate5m{${ALL_NODES}}))`,
          "{{nameserver}}",
        ),
      )
      .unit("s")
      .span(8),
  ];
}

function speed() {
  const quantile = (title: string, quantile: number) =>
    lines(
      `${title} of each stage`,
      `Time of successful attempts. Stages do not overlap: together they are the path. ${RECORDED}`,
    )
      .withTarget(
        overTime(
          `histogram_quantile(${quantile}, sum by (le, stage)` +
            ` (endpoint_stage_le:regprobe_stage_duration_seconds_bucket:rate5m{${ALL_NODES}}))`,
          "{{stage}}",
        ),
      )
      .unit("s")
      .span(8);
  return [
    quantile("Median", 0.5),
    quantile("90th percentile", 0.9),
    quantile("99th percentile", 0.99),
    lines("Predicted delay of a pull", "What a pull would wait for that does not answer, on the node that waits longest.")
      .withTarget(
        overTime(`max by (registry) (regprobe_predicted_pull_delay_seconds{${registries}})`, "{{registry}}"),
      )
      .unit("s")
      .axisSoftMax(1)
      .span(8),
    namedLines("Round trip", "As the kernel measured it, 99th percentile of the nodes.")
      .withTarget(
        overTime(`quantile by (endpoint) (0.99, regprobe_tcp_rtt_seconds{${endpoints}})`, "{{endpoint}}"),
      )
      .unit("s")
      .span(8),
    namedLines("Segments sent again", "While connecting: packets are lost on the way.")
      .withTarget(
        overTime(
          `sum by (endpoint) (rate(regprobe_tcp_retransmits_total{${endpoints}}[$__rate_interval])) * 60`,
          "{{endpoint}}",
        ),
      )
      .unit("suffix:/min")
      .axisSoftMax(1)
      .span(8),
  ];
}

function certificates() {
  return [
    rows(
      "Days left",
      "Until the first certificate of the chain ends, on the node that sees the oldest one.",
      [now(`bottomk(50, min by (registry, endpoint) (${daysLeft()}))`)],
      [
        { of: "registry", title: "Registry", properties: [width(130)] },
        { of: "endpoint", title: "Endpoint" },
        {
          of: "Value",
          title: "Days left",
          properties: [
            width(110),
            { id: "decimals", value: 1 },
            columnColours(BAD, [3, WARNING], [14, GOOD]),
            COLOURED,
          ],
        },
      ],
    )
      .sortBy([sortedBy("Days left")])
      .noValue("none seen")
      .span(10),
    rows(
      "Issuers and handshakes",
      "On how many nodes a handshake settled on what. An issuer that only some nodes see is a proxy that intercepts.",
      [now(`topk(50, count by (endpoint, issuer, version, group) (regprobe_tls_info{${endpoints}}))`)],
      [
        { of: "endpoint", title: "Endpoint" },
        { of: "issuer", title: "Issuer" },
        { of: "version", title: "Version", properties: [width(80)] },
        { of: "group", title: "Key exchange", properties: [width(140)] },
        { of: "Value", title: "Nodes", properties: [width(75)] },
      ],
    )
      .sortBy([sortedBy("Nodes")])
      .noValue("none seen")
      .span(14),
  ];
}

function load() {
  const requests = `endpoint_stage:regprobe_stage_attempts:rate5m{${ALL_NODES}, ${REQUESTS}}`;
  const ours = `and on (job, instance) regprobe_build_info{${agents}}`;
  return [
    lines(
      "Requests to a registry",
      `At its login server and data endpoints together; a registry throttles by their number. ${RECORDED}`,
    )
      .withTarget(overTime(`sum by (registry) (${requests}) * 60`, "{{registry}}"))
      .unit("suffix:/min")
      .span(8),
    stackedBars("Agents by version", "Two versions at once are a rollout, or one that is stuck.")
      .withTarget(overTime(`count by (version) (regprobe_build_info{${agents}})`, "{{version}}"))
      .unit("short")
      .decimals(0)
      .noValue("none")
      .span(8),
    lines("Agents whose last reload failed", "They go on with the configuration that they had before.")
      .withTarget(
        overTime(`count(regprobe_config_last_reload_successful{${agents}} == 0) or vector(0)`, "agents"),
      )
      .unit("short")
      .decimals(0)
      .axisSoftMax(1)
      .span(8),
    lines("Lateness of rounds and rounds skipped", "An agent without enough CPU is late; why it skips is in the label.")
      .withTarget(
        overTime(
          `histogram_quantile(0.99, sum by (le) (rate(regprobe_schedule_lag_seconds_bucket{${agents}}[$__rate_interval])))`,
          "late, 99th percentile",
          "A",
        ),
      )
      .withTarget(
        overTime(
          `sum by (why) (increase(regprobe_rounds_skipped_total{${agents}}[$__rate_interval]))`,
          "skipped: {{why}}",
          "B",
        ),
      )
      .unit("s")
      .overrideByRegexp("skipped.*", [unit("short"), softMax(1)])
      .span(8),
    lines("Memory and CPU of an agent", "Of the agent that takes most.")
      .withTarget(overTime(`max(process_resident_memory_bytes{${agents}} ${ours})`, "memory", "A"))
      .withTarget(
        overTime(`max(rate(process_cpu_seconds_total{${agents}}[${CPU_WINDOW}]) ${ours})`, "CPU", "B"),
      )
      .unit("bytes")
      .overrideByName("CPU", [unit("percentunit"), softMax(0.01), ON_THE_RIGHT])
      .span(8),
    lines("Clock skew", "Between a node's clock and the registry's, on the node where it is largest. Beyond 60 s tokens fail.")
      .withTarget(overTime(`max by (registry) (abs(regprobe_clock_skew_seconds{${registries}}))`, "{{registry}}"))
      .unit("s")
      .span(8),
  ];
}

/** The series that were highest in the time shown, of those whose mean passes the filter. */
function worst(many: number, expr: string, by: string, filter = ""): string {
  const mean = `avg_over_time((${expr})[$__range:$__interval] @ end())`;
  return `${expr} and on (${by}) topk(${many}, ${`${mean} ${filter}`.trim()})`;
}

function finding(severity: string): string {
  return `regprobe_finding{${endpoints}, ${severity}}`;
}

function daysLeft(): string {
  return `(regprobe_tls_certificate_not_after_timestamp_seconds{${endpoints}} - time()) / 86400`;
}
