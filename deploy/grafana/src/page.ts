// What both dashboards share: the settings, and panels in rows below each other.

import { Builder } from "@grafana/grafana-foundation-sdk/cog";
import {
  Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  Panel,
  RowBuilder,
  VariableModel,
} from "@grafana/grafana-foundation-sdk/dashboard";

import { TAG, otherDashboards, runbooks } from "./links";

interface PanelBuilder extends Builder<Panel> {
  id(id: number): this;
}

interface Page {
  uid: string;
  title: string;
  description: string;
  /** The start of the default time range. */
  from: string;
  refresh: string;
  variables: Builder<VariableModel>[];
  /** Panels without a heading, above all others. */
  top: PanelBuilder[];
  sections: [string, PanelBuilder[]][];
}

export function page(page: Page): Dashboard {
  const dashboard = new DashboardBuilder(page.title)
    .uid(page.uid)
    .description(page.description)
    .tags([TAG])
    .time({ from: page.from, to: "now" })
    .refresh(page.refresh)
    .tooltip(DashboardCursorSync.Crosshair)
    .link(otherDashboards())
    .link(runbooks())
    .variables(page.variables);
  let id = 0;
  const add = (panels: PanelBuilder[]) => {
    for (const panel of panels) {
      dashboard.withPanel(panel.id(++id));
    }
  };
  add(page.top);
  for (const [heading, panels] of page.sections) {
    dashboard.withRow(new RowBuilder(heading).id(++id));
    add(panels);
  }
  return dashboard.build();
}
