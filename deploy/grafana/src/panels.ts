// The kinds of panels in the dashboards, each with its common settings.

import {
  BigValueGraphMode,
  GraphDrawStyle,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TableSortByFieldStateBuilder,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from "@grafana/grafana-foundation-sdk/common";
import { DynamicConfigValue, FieldColorBuilder, FieldColorModeId, ValueMapping } from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as statetimeline from "@grafana/grafana-foundation-sdk/statetimeline";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

import { NEUTRAL } from "./values";
import { PROMETHEUS } from "./variables";

/** The counter of CPU time has whole seconds, and an agent uses only few of them. */
export const CPU_WINDOW = "30m";

/** The value at the end of the time range. */
export function now(expr: string, refId = "A"): DataqueryBuilder {
  return new DataqueryBuilder().expr(expr).refId(refId).instant();
}

/** The values over the time range. */
export function overTime(expr: string, legend: string, refId = "A"): DataqueryBuilder {
  return new DataqueryBuilder().expr(expr).refId(refId).range().legendFormat(legend);
}

/** One number, in the colour of its threshold. */
export function number(title: string, description: string): stat.PanelBuilder {
  return new stat.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .graphMode(BigValueGraphMode.None)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Thresholds))
    .unit("none")
    .noValue("none")
    .reduceOptions(new ReduceDataOptionsBuilder().values(false).calcs(["lastNotNull"]).fields(""))
    .height(4);
}

/** Lines over time. */
export function lines(title: string, description: string): timeseries.PanelBuilder {
  return new timeseries.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassicByName))
    .axisSoftMin(0)
    .noValue("no data")
    .lineWidth(2)
    .fillOpacity(0)
    .showPoints(VisibilityMode.Never)
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .calcs([]),
    )
    .height(8);
}

/** Lines with long names. */
export function namedLines(title: string, description: string): timeseries.PanelBuilder {
  return lines(title, description).legend(longNames());
}

/** A legend for long names: a table, highest value first. A list would show only two or three of them. */
export function longNames(): VizLegendOptionsBuilder {
  return new VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(LegendDisplayMode.Table)
    .placement(LegendPlacement.Bottom)
    .calcs(["lastNotNull", "max"])
    .sortBy("Max")
    .sortDesc(true);
}

/** Bars on top of each other. */
export function stackedBars(title: string, description: string): timeseries.PanelBuilder {
  return lines(title, description)
    .drawStyle(GraphDrawStyle.Bars)
    .barWidthFactor(1)
    .lineWidth(0)
    .fillOpacity(100)
    .stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group("A"));
}

/**
 * A row for each series, in the colour that its value is mapped to. It has no thresholds, because Grafana
 * would show them instead of the values.
 */
export function timeline(title: string, description: string, values: ValueMapping[]): statetimeline.PanelBuilder {
  return new statetimeline.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.Fixed).fixedColor(NEUTRAL))
    .mappings(values)
    .lineWidth(0)
    .fillOpacity(85)
    .legend(new VizLegendOptionsBuilder().showLegend(false).displayMode(LegendDisplayMode.List).calcs([]))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Single).sort(SortOrder.None))
    .height(8);
}

/** A table column: the label or query that it shows, and its heading. */
export interface Column {
  of: string;
  title: string;
  properties?: DynamicConfigValue[];
}

/** The column with the values of one of several queries. With a single query it is `Value`. */
export function valueOf(query: string): string {
  return `Value #${query}`;
}

/** A row for each series; series of several queries with the same labels share a row. */
export function rows(title: string, description: string, queries: DataqueryBuilder[], columns: Column[]): table.PanelBuilder {
  const panel = new table.PanelBuilder().title(title).description(description).datasource(PROMETHEUS).height(8);
  for (const query of queries) {
    panel.withTarget(query.format(PromQueryFormat.Table));
  }
  if (queries.length > 1) {
    panel.withTransformation({ id: "merge", options: {} });
  }
  panel.withTransformation(only(columns));
  for (const { title, properties } of columns) {
    if (properties) {
      panel.overrideByName(title, properties);
    }
  }
  return panel;
}

/** A row for each value of one label, and a column for each value of another, in the given order. */
export function matrix(
  title: string,
  description: string,
  query: DataqueryBuilder,
  { row, column, columns }: { row: Column; column: string; columns: string[] },
): table.PanelBuilder {
  const corner = `${row.of}\\${column}`;
  const order = [corner, ...columns];
  return new table.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .showHeader(true)
    .span(24)
    .height(8)
    .withTarget(query.format(PromQueryFormat.Table))
    .withTransformation({
      id: "groupingToMatrix",
      options: { rowField: row.of, columnField: column, valueField: "Value", emptyValue: "null" },
    })
    .withTransformation({
      id: "organize",
      options: {
        indexByName: Object.fromEntries(order.map((name, index) => [name, index])),
        renameByName: { [corner]: row.title },
      },
    })
    .overrideByName(row.title, row.properties ?? []);
}

/** Shows only these columns, in this order. */
function only(columns: Column[]) {
  const entries = <T>(value: (column: Column, index: number) => T) =>
    Object.fromEntries(columns.map((column, index) => [column.of, value(column, index)]));
  return {
    id: "organize",
    options: {
      includeByName: entries(() => true),
      indexByName: entries((_, index) => index),
      renameByName: entries(({ title }) => title),
    },
  };
}

export function sortedBy(title: string, descending = false): TableSortByFieldStateBuilder {
  return new TableSortByFieldStateBuilder().displayName(title).desc(descending);
}

export function width(pixels: number): DynamicConfigValue {
  return { id: "custom.width", value: pixels };
}
