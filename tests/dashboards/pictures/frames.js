// From an answer of Prometheus to the frames that Grafana's components draw: what its data source and
// its panels do between the two, with its own transformations and field options.

import {
  FieldConfigOptionsRegistry,
  FieldType,
  applyFieldOverrides,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from "@grafana/data";
import { firstValueFrom } from "rxjs";

standardTransformersRegistry.setInit(() =>
  [
    standardTransformers.mergeTransformer,
    standardTransformers.organizeFieldsTransformer,
    standardTransformers.groupingToMatrixTransformer,
  ].map((transformation) => ({ id: transformation.id, name: transformation.id, transformation })),
);

/** The options of a field that the dashboards set; a panel of Grafana registers its own. */
const OPTIONS = new FieldConfigOptionsRegistry(() => {
  const option = (id, isCustom = false) => ({
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    process: (value) => value,
    shouldApply: () => true,
  });
  const standard = ["color", "decimals", "links", "mappings", "max", "min", "noValue", "thresholds", "unit"];
  const custom = [
    "align", "axisPlacement", "axisSoftMax", "axisSoftMin", "barAlignment", "barWidthFactor", "cellOptions", "drawStyle",
    "fillOpacity", "hideFrom", "inspect", "lineInterpolation", "lineWidth", "pointSize", "scaleDistribution",
    "showPoints", "spanNulls", "stacking", "thresholdsStyle", "width",
  ];
  return [...standard.map((id) => option(id)), ...custom.map((id) => option(id, true))];
});

/** What a time series has where the dashboard says nothing. */
const LINES = {
  axisPlacement: "auto",
  barAlignment: 0,
  barWidthFactor: 0.6,
  hideFrom: { legend: false, tooltip: false, viz: false },
  lineInterpolation: "linear",
  pointSize: 5,
  scaleDistribution: { type: "linear" },
  spanNulls: false,
  stacking: { group: "A", mode: "none" },
  thresholdsStyle: { mode: "off" },
};

/** The frames of a panel, ready to be drawn. */
export async function framesOf(panel, { answers, step, from, to }, theme) {
  const targets = panel.targets.map((target) => [target, answers[panel.id][target.refId]]);
  let frames = targets.flatMap(([target, answer]) => {
    if (target.format === "table") {
      return tableOf(answer, targets.length > 1 ? `Value #${target.refId}` : "Value");
    }
    return answer.result.map((series) => seriesOf(target, series, { step, from, to }));
  });
  frames = frames.filter((frame) => frame.length > 0);
  if (frames.length > 0 && panel.transformations) {
    frames = await firstValueFrom(transformDataFrame(panel.transformations, frames));
  }
  const fieldConfig = structuredClone(panel.fieldConfig);
  if (panel.type === "timeseries") {
    fieldConfig.defaults.custom = { ...LINES, ...fieldConfig.defaults.custom };
  }
  return applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: OPTIONS,
    replaceVariables: (text) => text,
    theme,
    timeZone: "utc",
  });
}

/** A row for each series. */
function tableOf({ result }, nameOfValue) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const field = (name, type, values) => ({ name, type, config: {}, values });
  return [
    {
      fields: [
        field("Time", FieldType.time, result.map(({ value }) => value[0] * 1000)),
        ...labels.map((label) => field(label, FieldType.string, result.map(({ metric }) => metric[label] ?? ""))),
        field(nameOfValue, FieldType.number, result.map(({ value }) => number(value[1]))),
      ],
      length: result.length,
    },
  ];
}

/** One series, with a gap where Prometheus gave no value. */
function seriesOf(target, { metric, value, values }, { step, from, to }) {
  const known = new Map((values ?? [value]).map(([time, value]) => [Math.round(time * 1000), number(value)]));
  const times = [];
  if (values) {
    for (let time = from; time <= to; time += step) {
      times.push(time);
    }
  } else {
    times.push(...known.keys());
  }
  const name = target.legendFormat?.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? "");
  const { __name__, ...labels } = metric;
  return {
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, config: {}, values: times },
      {
        // By this name goes the colour, once frames are joined to be drawn.
        name: name ?? "Value",
        type: FieldType.number,
        config: { displayNameFromDS: name },
        labels,
        values: times.map((time) => known.get(time) ?? null),
      },
    ],
    length: times.length,
  };
}

function number(text) {
  return { "+Inf": Infinity, "-Inf": -Infinity }[text] ?? Number(text);
}
