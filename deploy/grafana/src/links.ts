// The links from a dashboard.

import { DashboardLinkBuilder, DashboardLinkType } from "@grafana/grafana-foundation-sdk/dashboard";

export const FLEET = "regprobe-fleet";
export const NODE = "regprobe-node";

/** Every dashboard has this tag; the links at the top lead to all dashboards that have it. */
export const TAG = "regprobe";

const REPOSITORY = "https://github.com/regprobe/regprobe/blob/main";

/** A link from a value. */
export interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

/** The runbook for the finding whose code is the value. */
export const RUNBOOK: DataLink = {
  title: "Runbook for ${__value.raw}",
  url: `${REPOSITORY}/deploy/runbooks/\${__value.raw}.md`,
  targetBlank: true,
};

/** The dashboard of the node that the value names. */
export const NODE_OF_CELL = nodeDashboard("${__value.raw}");
/** The dashboard of the node in the series' labels. */
export const NODE_OF_SERIES = nodeDashboard("${__field.labels.node}");

function nodeDashboard(name: string): DataLink {
  const kept = ["datasource", "cluster", "registry", "endpoint"];
  const variables = kept.map((variable) => `\${${variable}:queryparam}`);
  return {
    title: `Path from ${name}`,
    url: `/d/${NODE}?var-node=${name}&${variables.join("&")}&\${__url_time_range}`,
  };
}

export function otherDashboards(): DashboardLinkBuilder {
  return new DashboardLinkBuilder("regprobe")
    .type(DashboardLinkType.Dashboards)
    .tags([TAG])
    .includeVars(true)
    .keepTime(true);
}

export function runbooks(): DashboardLinkBuilder {
  return new DashboardLinkBuilder("Runbooks")
    .type(DashboardLinkType.Link)
    .icon("doc")
    .url(`${REPOSITORY}/deploy/runbooks/README.md`)
    .targetBlank(true);
}
