// All nodes of one or more clusters: is anything wrong, where, since when, and why. Panels by node show
// only the worst nodes, so that they stay readable with any number of nodes.

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
  LIMIT,
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

/** The labels that identify a finding, regardless of the nodes that see it. */
const FINDING = "cluster, registry, endpoint, code, severity";
const FINDINGS = finding('severity!="info"');

/** For panels that show series from recording rules. */
const RECORDED = "Always shows all nodes, whichever node is selected. Requires the recording rules in deploy/prometheus.";

/** The stages whose requests a registry counts. */
const REQUESTS = 'stage=~"challenge|token|manifest|blob|http"';

export function fleet(): Dashboard {
  return page({
    uid: FLEET,
    title: "regprobe / Fleet",
    description: "Whether the nodes can pull images, and if not, which ones, since when and why.",
    from: "now-3h",
    refresh: "1m",
    variables: [datasource(), cluster(), nodes(), registry(MANY_NODES), endpoint(MANY_NODES)],
    top: health(),
    sections: [
      ["Since when and where", timelines()],
      ["Why", causes()],
      ["DNS", dns()],
      ["Latency", latency()],
      ["Certificates", certificates()],
      ["Agents and the load on registries", load()],
    ],
  });
}

function health() {
  const nodesThatAre = (verdict: number) => `count(${VERDICT_OF_NODE} == ${verdict}) or vector(0)`;
  return [
    number("Nodes that cannot pull", "Nodes on which a registry is failing: a pull from it would fail now.")
      .withTarget(now(nodesThatAre(2)))
      .thresholds(colours(GOOD, [1, BAD]))
      .span(4),
    number("Nodes degraded", "Nodes on which pulls work, but something is wrong or slow.")
      .withTarget(now(nodesThatAre(1)))
      .thresholds(colours(GOOD, [1, WARNING]))
      .span(4),
    number("Longest outage", "The longest time that an endpoint has been down, on any node.")
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
    number("Next certificate expiry", "Days until the next certificate in any endpoint's chain expires, on any node.")
      .withTarget(now(`min(${daysLeft()})`))
      .unit("suffix:days")
      .decimals(0)
      .thresholds(colours(BAD, [3, WARNING], [14, GOOD]))
      .noValue("no certificate")
      .span(4),
    number("Nodes monitored", "Nodes whose agents Prometheus scrapes.")
      .withTarget(now(`count(count by (cluster, node) (regprobe_build_info{${agents}}))`))
      .thresholds(colours(NEUTRAL))
      .noValue("none")
      .span(4),
    number("Agents not responding", "Agents that Prometheus cannot scrape. The state of their nodes is unknown.")
      .withTarget(
        now(`count(up{${agents}} == 0 and on (job) group by (job) (regprobe_build_info{${agents}})) or vector(0)`),
      )
      .thresholds(colours(GOOD, [1, WARNING]))
      .span(4),
    rows(
      "Findings",
      "Each problem once, with the number of nodes that see it. If many nodes see it, suspect the registry, its" +
        " network or its DNS; if only one node does, suspect that node. Each finding links to its runbook.",
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
        { of: valueOf("B"), title: "Share", properties: [width(70), unit("percentunit")] },
        { of: valueOf("C"), title: "First seen", properties: [width(150), unit("dateTimeFromNow")] },
      ],
    )
      .sortBy([sortedBy("Severity")])
      .noValue("none")
      .span(17),
    stackedBars("Nodes by verdict", "The number of degraded and failing nodes, stacked.")
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

function timelines() {
  const unexpected = `sum by (registry, endpoint, nameserver) (regprobe_dns_answer_expected{${endpoints}} == bool 0)`;
  const down = `sum by (registry, endpoint, role) (regprobe_endpoint_up{${endpoints}} == bool 0)`;
  return [
    timeline(
      "Verdict by node",
      "The 20 nodes with the worst verdicts in the selected time range. Each node links to its own dashboard.",
      VERDICT,
    )
      .withTarget(overTime(worst(20, VERDICT_OF_NODE, "cluster, node", "> 0"), "{{node}}"))
      .overrideByRegexp(".*", [linked(NODE_OF_SERIES)])
      .noValue("no node was degraded or failing")
      .span(14)
      .height(13),
    rows(
      "Nodes with findings",
      "At most 100 findings, critical ones first. Each node links to its own dashboard.",
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
      "DNS drift: nodes with an unexpected address",
      "The number of nodes that get an address outside the registry's expected ranges from a nameserver." +
        " Shows the 20 worst pairs of endpoint and nameserver.",
      NONE_IS_GOOD,
    )
      .withTarget(
        overTime(worst(20, unexpected, "registry, endpoint, nameserver"), "{{endpoint}} from {{nameserver}}"),
      )
      .unit("suffix:nodes")
      .noValue("no queries")
      .span(12),
    timeline(
      "Endpoints down",
      "The number of nodes on which an endpoint is down. Shows the 20 worst endpoints.",
      NONE_IS_GOOD,
    )
      .withTarget(overTime(worst(20, down, "registry, endpoint, role"), "{{role}} {{endpoint}}"))
      .unit("suffix:nodes")
      .noValue("no probes")
      .span(12),
  ];
}

function causes() {
  const failed = `regprobe_stage_failures_total{${endpoints}}[15m]`;
  const what = "registry, endpoint, role, stage, reason";
  return [
    rows(
      "Failing endpoints",
      "Stages that failed in the last 15 minutes. Shows the 50 that failed on the most nodes.",
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
      `Each stage has its own reasons; the documentation lists them. ${RECORDED}`,
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

function dns() {
  const lookups = "endpoint_nameserver_result:regprobe_dns_lookups:rate5m";
  const answers = "registry, endpoint, nameserver";
  return [
    rows(
      "Answers by nameserver",
      "Expected: the share of nodes that get an address in the registry's expected ranges. Private: the share that" +
        " get an address that is not reachable from the internet.",
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
      .span(10),
    stackedBars(
      "Lookups by nameserver and result",
      `The agents' DNS lookups; A and AAAA count as one. ${RECORDED}`,
    )
      .withTarget(
        overTime(`sum by (nameserver, result) (${lookups}{${ALL_NODES}}) > 0`, "{{nameserver}} {{result}}"),
      )
      .unit("suffix:/s")
      .noValue("no queries")
      .span(8),
    namedLines("Failed lookups", `The share of lookups that returned no address. ${RECORDED}`)
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
      "Lookup duration, 99th percentile",
      `Only lookups that got an answer; a nameserver that does not respond has no duration. ${RECORDED}`,
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

function latency() {
  const quantile = (title: string, quantile: number) =>
    lines(
      `${title} of each stage`,
      `The duration of successful attempts. Stages do not overlap: their sum is the whole path. ${RECORDED}`,
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
    lines("Predicted pull delay", "How long a pull would wait for addresses and nameservers that do not respond, on the worst node.")
      .withTarget(
        overTime(`max by (registry) (regprobe_predicted_pull_delay_seconds{${registries}})`, "{{registry}}"),
      )
      .unit("s")
      .axisSoftMax(1)
      .span(6),
    namedLines("TCP RTT", "The round-trip time as measured by the kernel, 99th percentile of the nodes.")
      .withTarget(
        overTime(`quantile by (endpoint) (0.99, regprobe_tcp_rtt_seconds{${endpoints}})`, "{{endpoint}}"),
      )
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
      "Layer downloads",
      "How fast a part of a layer came, on the slowest node and on the median of the nodes, and the floor below which it" +
        " is a finding. Only for registries with `throughput` in the configuration.",
    )
      .withTarget(overTime(`min by (registry) (regprobe_blob_throughput_bytes_per_second{${endpoints}})`, "{{registry}}, slowest", "A"))
      .withTarget(overTime(`quantile by (registry) (0.5, regprobe_blob_throughput_bytes_per_second{${endpoints}})`, "{{registry}}, median", "B"))
      .withTarget(
        overTime(
          `max by (registry) (regprobe_blob_throughput_floor_bytes_per_second{${registries}})`,
          "{{registry}}, floor",
          "C",
        ),
      )
      .overrideByRegexp(".*, floor", LIMIT)
      .unit("binBps")
      .noValue("not measured: no registry has throughput")
      .span(6),
  ];
}

function certificates() {
  return [
    rows(
      "Days left",
      "Days until the next certificate in the chain expires, on the node that sees the oldest one.",
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
      .noValue("no certificate")
      .span(10),
    rows(
      "Issuers and handshakes",
      "What the nodes' TLS handshakes negotiated. If only some nodes see an issuer, a proxy probably intercepts TLS.",
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
      .noValue("no certificate")
      .span(14),
  ];
}

function load() {
  const requests = `endpoint_stage:regprobe_stage_attempts:rate5m{${ALL_NODES}, ${REQUESTS}}`;
  const ours = `and on (job, instance) regprobe_build_info{${agents}}`;
  return [
    lines(
      "Requests to a registry",
      `The agents' requests to the login server and data endpoints. A registry throttles by their number. ${RECORDED}`,
    )
      .withTarget(overTime(`sum by (registry) (${requests}) * 60`, "{{registry}}"))
      .unit("suffix:/min")
      .span(8),
    stackedBars("Agents by version", "Two versions at once mean a rollout in progress, or one that is stuck.")
      .withTarget(overTime(`count by (version) (regprobe_build_info{${agents}})`, "{{version}}"))
      .unit("short")
      .decimals(0)
      .noValue("none")
      .span(8),
    lines("Agents with a failed reload", "They still use their previous configuration.")
      .withTarget(
        overTime(`count(regprobe_config_last_reload_successful{${agents}} == 0) or vector(0)`, "agents"),
      )
      .unit("short")
      .decimals(0)
      .axisSoftMax(1)
      .span(8),
    lines("Late and skipped rounds", "An agent without enough CPU is late; the label shows why rounds were skipped.")
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
    lines("Agent memory and CPU", "The highest value of any agent.")
      .withTarget(overTime(`max(process_resident_memory_bytes{${agents}} ${ours})`, "memory", "A"))
      .withTarget(
        overTime(`max(rate(process_cpu_seconds_total{${agents}}[${CPU_WINDOW}]) ${ours})`, "CPU", "B"),
      )
      .unit("bytes")
      .overrideByName("CPU", [unit("percentunit"), softMax(0.01), ON_THE_RIGHT])
      .span(8),
    lines("Clock skew", "The difference between a node's clock and the registry's, on the worst node. Beyond 60 s, tokens may fail.")
      .withTarget(overTime(`max by (registry) (abs(regprobe_clock_skew_seconds{${registries}}))`, "{{registry}}"))
      .unit("s")
      .span(8),
  ];
}

/** The series with the highest mean in the selected time range, of those whose mean passes the filter. */
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
