// The variables at the top of a dashboard, and the label matchers for queries that use them.

import {
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";

export const PROMETHEUS = { type: "prometheus", uid: "${datasource}" };

/** Matchers for the series of the selected agents, registries and endpoints. */
export interface Chosen {
  agents: string;
  registries: string;
  endpoints: string;
}

/** Any number of nodes. */
export const MANY_NODES = chosen('node=~"$node"');
/** One node. */
export const ONE_NODE = chosen('node="$node"');

/** For recording rules, which sum over all nodes and cannot be filtered by node. */
export const ALL_NODES = 'cluster=~"$cluster", registry=~"$registry", endpoint=~"$endpoint"';

function chosen(node: string): Chosen {
  const agents = `cluster=~"$cluster", ${node}`;
  const registries = `${agents}, registry=~"$registry"`;
  return { agents, registries, endpoints: `${registries}, endpoint=~"$endpoint"` };
}

export function datasource(): DatasourceVariableBuilder {
  return new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");
}

/** The selected values of a label; series without the label belong to "All". */
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
