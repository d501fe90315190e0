// How values look: colours with the same meaning everywhere, and words for numbers.

import {
  DynamicConfigValue,
  FieldColorModeId,
  MappingType,
  SpecialValueMatch,
  Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  ValueMapping,
  ValueMappingResult,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { TableCellBackgroundDisplayMode, TableCellDisplayMode } from "@grafana/grafana-foundation-sdk/common";

import { DataLink } from "./links";

export const GOOD = "green";
export const WARNING = "orange";
export const BAD = "red";
export const NEUTRAL = "text";
const QUIET = "blue";

export const VERDICT: ValueMapping[] = words({
  0: { text: "ok", color: GOOD },
  1: { text: "degraded", color: WARNING },
  2: { text: "failing", color: BAD },
});

export const SEVERITY: ValueMapping[] = words({
  critical: { color: BAD },
  warning: { color: WARNING },
  info: { color: QUIET },
});

export const YES_OR_NO: ValueMapping[] = words({
  0: { text: "no", color: BAD },
  1: { text: "yes", color: GOOD },
});

/** How many of the attempts failed. */
export const FAILED: ValueMapping[] = words({
  0: { text: "ok", color: GOOD },
  1: { text: "some fail", color: WARNING },
  2: { text: "failing", color: BAD },
});

/** For a number that should be 0. */
export const NONE_IS_GOOD: ValueMapping[] = [
  ...words({ 0: { color: GOOD } }),
  // Grafana treats an open end, null, as 0.
  { type: MappingType.RangeToText, options: { from: 1, to: Number.MAX_SAFE_INTEGER, result: { color: BAD } } },
];

/** A cell without a value gets no colour. Grafana would use the colour of the lowest threshold. */
export const NONE_IS_BLANK: ValueMapping[] = [
  {
    type: MappingType.SpecialValue,
    options: { match: SpecialValueMatch.Null, result: { text: "", color: "transparent" } },
  },
];

/** Each colour applies from its value upwards; the first one applies below all of them. */
export function colours(first: string, ...from: [number, string][]): ThresholdsConfigBuilder {
  const steps: Threshold[] = [{ value: null, color: first }];
  steps.push(...from.map(([value, color]) => ({ value, color })));
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps);
}

/** Like {@link colours}, for one column of a table. */
export function columnColours(first: string, ...from: [number, string][]): DynamicConfigValue {
  return { id: "thresholds", value: colours(first, ...from).build() };
}

export function unit(unit: string): DynamicConfigValue {
  return { id: "unit", value: unit };
}

export function linked(link: DataLink): DynamicConfigValue {
  return { id: "links", value: [link] };
}

export function fixedColour(colour: string): DynamicConfigValue {
  return { id: "color", value: { mode: FieldColorModeId.Fixed, fixedColor: colour } };
}

export function mapped(mappings: ValueMapping[]): DynamicConfigValue {
  return { id: "mappings", value: mappings };
}

/** The minimum upper end of an axis. With zeros only, an axis would reach to 100. */
export function softMax(value: number): DynamicConfigValue {
  return { id: "custom.axisSoftMax", value };
}

/** What a line should not fall below. */
export const LIMIT: DynamicConfigValue[] = [
  fixedColour(BAD),
  { id: "custom.lineStyle", value: { fill: "dash", dash: [10, 10] } },
];

export const ON_THE_RIGHT: DynamicConfigValue = { id: "custom.axisPlacement", value: "right" };

/** Cells have the colour of their value. */
export const COLOURED: DynamicConfigValue = {
  id: "custom.cellOptions",
  value: { type: TableCellDisplayMode.ColorBackground, mode: TableCellBackgroundDisplayMode.Basic },
};

function words(results: Record<string, ValueMappingResult>): ValueMapping[] {
  const inOrder = Object.entries(results).map(([value, result], index) => [value, { ...result, index }]);
  return [{ type: MappingType.ValueToText, options: Object.fromEntries(inOrder) }];
}
