// What can be chosen at the top of a dashboard, and the same as label matchers for its queries.

import {
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";

export const PROMETHEUS = { type: "prometheus", uid: "${datasource}" };

/** Matchers for the series of agents, of registries and of endpoints that are chosen. */
export interface Chosen {
  agents: string;
  registries: string;
  endpoints: string;
}

/** Any number of nodes. */
export const MANY_NODES = chosen('node=~"$node"');
/** One node. */
export const ONE_NODE = chosen('node="$node"');

/** What recording rules have summed over all nodes: it is not known of some of them. */
export const ALL_NODES = 'cluster=~"$cluster", registry=~"$registry", endpoint=~"$endpoint"';

function chosen(node: string): Chosen {
  const agents = `cluster=~"$cluster", ${node}`;
  const registries = `${agents}, registry=~"$registry"`;
  return { agents, registries, endpoints: `${registries}, endpoint=~"$endpoint"` };
}

export function datasource(): DatasourceVariableBuilder {
  return new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");
}

/** All that are chosen of a label, in that order; what has no such label belongs to "All". */
export function cluster(): QueryVariableBuilder {
  return many("cluster", "Cluster", "regprobe_build_info");
}

export function nodes(): QueryVariableBuilder {
  return many("node", "Node", 'regprobe_build_info{cluster=~"$cluster"}');
}

export function node(): QueryVariableBuilder {
  return labels("node", "Node", 'regprobe_build_info{cluster=~"$cluster"}');
}

export function registry(of: Chosen): QueryVariableBuilder {
  return many("registry", "Registry", `regprobe_registry_verdict{${of.agents}}`);
}

export function endpoint(of: Chosen): QueryVariableBuilder {
  return many("endpoint", "Endpoint", `regprobe_endpoint_up{${of.registries}}`);
}

function many(label: string, title: string, series: string): QueryVariableBuilder {
  return labels(label, title, series)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: ["All"], value: ["$__all"] });
}

function labels(label: string, title: string, series: string): QueryVariableBuilder {
  return new QueryVariableBuilder(label)
    .label(title)
    .datasource(PROMETHEUS)
    .query({ query: `label_values(${series}, ${label})`, refId: label })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
}
