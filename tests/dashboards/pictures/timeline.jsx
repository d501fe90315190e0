// A state timeline: Grafana has its own in the server, not in its components. A row for each series,
// values that follow each other and are the same as one bar, in their colour and with their words.

import { formattedValueToString, getFieldDisplayName } from "@grafana/data";
import { useTheme2 } from "@grafana/ui";

const AXIS = 26;

export function Timeline({ frames, panel, from, to, width, height }) {
  const theme = useTheme2();
  const { defaults } = panel.fieldConfig;
  const rows = frames.map((frame) => {
    const [time, field] = frame.fields;
    return { name: getFieldDisplayName(field, frame, frames), bars: bars(time.values, field, to) };
  });
  const context = document.createElement("canvas").getContext("2d");
  context.font = `12px ${theme.typography.fontFamily}`;
  const measure = (text) => context.measureText(text).width;
  const left = Math.min(Math.max(...rows.map(({ name }) => measure(name))) + 16, width * 0.45);
  const x = (time) => left + ((time - from) / (to - from)) * (width - left - 8);
  const step = (height - AXIS) / rows.length;
  const size = step * panel.options.rowHeight;
  const colour = theme.colors.text.primary;
  return (
    <svg width={width} height={height} fontSize={12} fontFamily={theme.typography.fontFamily}>
      {ticks(from, to, (width - left) / 90).map((time) => (
        <g key={time}>
          <line x1={x(time)} x2={x(time)} y1={0} y2={height - AXIS} stroke={theme.colors.border.weak} />
          <text x={x(time)} y={height - 8} fill={colour} textAnchor="middle">
            {new Date(time).toISOString().slice(11, 16)}
          </text>
        </g>
      ))}
      {rows.map(({ name, bars }, index) => (
        <g key={name} transform={`translate(0 ${index * step + (step - size) / 2})`}>
          <text x={left - 8} y={size / 2} fill={colour} textAnchor="end" dominantBaseline="central">
            {shortened(name, left - 12, measure)}
          </text>
          {bars.map(({ start, end, shown }) => {
            const words = formattedValueToString(shown);
            const wide = x(end) - x(start);
            return (
              <g key={start}>
                <rect
                  x={x(start)}
                  width={Math.max(wide, 1)}
                  height={size}
                  fill={shown.color}
                  fillOpacity={defaults.custom.fillOpacity / 100}
                />
                {panel.options.showValue !== "never" && measure(words) + 8 < wide && (
                  <text
                    x={x(start) + 4}
                    y={size / 2}
                    fill={theme.colors.getContrastText(shown.color)}
                    dominantBaseline="central"
                  >
                    {words}
                  </text>
                )}
              </g>
            );
          })}
        </g>
      ))}
    </svg>
  );
}

function bars(times, field, to) {
  const bars = [];
  field.values.forEach((value, index) => {
    const last = bars.at(-1);
    if (last && last.end === undefined && last.value !== value) {
      last.end = times[index];
    }
    if (value !== null && (!last || last.end !== undefined)) {
      bars.push({ value, start: times[index], shown: field.display(value) });
    }
  });
  return bars.map((bar) => ({ ...bar, end: bar.end ?? to }));
}

/** Whole minutes, or so many of them that there are about so many ticks. */
function ticks(from, to, count) {
  const minute = 60_000;
  const apart = [1, 2, 5, 10, 15, 30, 60].map((minutes) => minutes * minute);
  const step = apart.find((step) => (to - from) / step <= count) ?? apart.at(-1);
  const ticks = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    ticks.push(time);
  }
  return ticks;
}

function shortened(text, width, measure) {
  let short = text;
  while (measure(short) > width) {
    short = `${short.replace(/…$/, "").slice(0, -1)}…`;
  }
  return short;
}
