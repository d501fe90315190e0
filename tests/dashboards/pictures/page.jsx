// A dashboard as a page: its panels where the grid puts them, each drawn by the component of Grafana
// that is for it.

import "@fontsource-variable/inter";
import { FieldType, createTheme, dateTime, getFieldDisplayValues } from "@grafana/data";
import { BigValue, PanelChrome, Table, ThemeContext, TimeSeries } from "@grafana/ui";
import { createRoot } from "react-dom/client";

import { framesOf } from "./frames";
import { Timeline } from "./timeline";

const theme = createTheme({
  colors: { mode: "dark" },
  typography: { fontFamily: `"Inter Variable", sans-serif`, fontFamilyMonospace: "monospace" },
});

/** Grafana's grid: 24 columns, rows of 30 pixels, 8 between panels. */
const GAP = 8;
const ROW = 30;

function Panel({ panel, frames, told, width, height }) {
  const { fieldConfig, options, type } = panel;
  if (frames.length === 0) {
    return <p style={{ textAlign: "center", paddingTop: height / 3 }}>{fieldConfig.defaults.noValue}</p>;
  }
  const timeRange = { from: dateTime(told.from), to: dateTime(told.to) };
  timeRange.raw = timeRange;
  switch (type) {
    case "stat": {
      const [shown] = getFieldDisplayValues({
        data: frames,
        fieldConfig,
        reduceOptions: options.reduceOptions,
        replaceVariables: (text) => text,
        theme,
        timeZone: "utc",
      });
      return (
        <BigValue
          {...options}
          disableWideLayout={!options.wideLayout}
          theme={theme}
          value={shown.display}
          width={width}
          height={height}
        />
      );
    }
    case "timeseries":
      return (
        <TimeSeries
          frames={frames}
          legend={options.legend}
          options={options}
          structureRev={1}
          timeRange={timeRange}
          timeZone="utc"
          width={width}
          height={height}
        />
      );
    case "table":
      return (
        <Table
          data={frames[0]}
          initialSortBy={options?.sortBy}
          noHeader={options?.showHeader === false}
          timeRange={timeRange}
          width={width}
          height={height}
        />
      );
    case "state-timeline":
      return (
        <Timeline frames={frames} panel={panel} from={told.from} to={told.to} width={width} height={height} />
      );
    default:
      throw new Error(`${panel.title}: nothing draws ${type}`);
  }
}

function Page({ told, frames, width }) {
  const { panels, templating, title } = told.dashboard;
  const column = (width + GAP) / 24;
  const bottom = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <ThemeContext.Provider value={theme}>
      <main style={{ width: width + 32, padding: 16 }}>
        <h1>{title}</h1>
        <nav>
          {templating.list.map(({ name, label, multi }) => (
            <span key={name}>
              <b>{label}</b>
              <i>{multi ? "All" : name === "node" ? told.node : "Prometheus"}</i>
            </span>
          ))}
        </nav>
        <section style={{ height: bottom * (ROW + GAP) }}>
          {panels.map((panel) => {
            const { x, y, w, h } = panel.gridPos;
            const size = { width: w * column - GAP, height: h * (ROW + GAP) - GAP };
            const place = { position: "absolute", left: x * column, top: y * (ROW + GAP), ...size };
            return (
              <div key={panel.id} style={place}>
                {panel.type === "row" ? (
                  <h2>⌄ {panel.title}</h2>
                ) : (
                  <PanelChrome title={panel.title} description={panel.description} {...size}>
                    {(width, height) => (
                      <Panel panel={panel} frames={frames[panel.id]} told={told} width={width} height={height} />
                    )}
                  </PanelChrome>
                )}
              </div>
            );
          })}
        </section>
      </main>
    </ThemeContext.Provider>
  );
}

window.draw = async (told, width) => {
  const frames = {};
  for (const panel of told.dashboard.panels.filter(({ type }) => type !== "row")) {
    frames[panel.id] = await framesOf(panel, told, theme);
  }
  await document.fonts.ready;
  createRoot(document.getElementById("root")).render(<Page told={told} frames={frames} width={width} />);
};
