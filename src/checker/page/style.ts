/** The page's looks: light and dark by the reader's setting. */
export const STYLE = `
:root { color-scheme: light dark;
  --ground: #fcfcfb; --panel: #ffffff; --ink: #1d2126; --soft: #6a727c; --line: #e3e5e8;
  --lane: #f4f5f6; --read: #4a7fc1; --write: #2f9468; --txn: #8561c5; --open: #b6bcc4;
  --refused: #c9cdd2; --bad: #d33a32; --bad-soft: #fdeceb; --fault: #e39a2d; --good: #2f9468; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171a; --panel: #1b1f23; --ink: #e7eaed; --soft: #98a1ab; --line: #2d3238;
  --lane: #1f2429; --read: #6ea3e6; --write: #4fbd8d; --txn: #ab8bea; --open: #565e67;
  --refused: #42484f; --bad: #ff6b61; --bad-soft: #3a1f1f; --fault: #d9952f; --good: #4fbd8d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { padding: 20px 24px 12px; max-width: 1100px; }
h1 { font-size: 19px; margin: 0 0 2px; font-weight: 650; overflow-wrap: anywhere; }
h1 .mark { display: inline-block; width: 11px; height: 11px; border-radius: 50%;
  margin-right: 9px; background: var(--good); }
.violation h1 .mark, .undecided h1 .mark { background: var(--bad); }
.violation h1 b, .undecided h1 b { color: var(--bad); }
.ok h1 b { color: var(--good); }
header p { margin: 0; color: var(--soft); }
.story { margin: 12px 0 0; padding: 10px 14px; border-left: 3px solid var(--bad);
  background: var(--bad-soft); border-radius: 0 6px 6px 0; overflow-wrap: anywhere; }
.story ol { margin: 6px 0 0; padding-left: 22px; }
.story button { all: unset; cursor: pointer;
  font: 12.5px/1.7 ui-monospace, Menlo, Consolas, monospace; }
.story button:hover, .story button:focus-visible { text-decoration: underline; }
.tools { position: sticky; top: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: 8px 16px;
  align-items: center; padding: 9px 24px; background: var(--panel);
  border-block: 1px solid var(--line); }
.tools label { color: var(--soft); }
select, .tools button { font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; max-width: 280px; }
.tools button { cursor: pointer; min-width: 32px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; color: var(--soft); font-size: 12.5px; }
.legend i { display: inline-block; width: 16px; height: 10px; border-radius: 3px;
  margin-right: 5px; }
#chart { position: relative; overflow: auto; max-height: calc(100vh - 60px); }
#chart svg { display: block; }
#chart text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  fill: var(--ink); }
#chart text.soft { fill: var(--soft); }
#chart text.inside { fill: #fff; font-size: 11px; pointer-events: none; }
@media (prefers-color-scheme: dark) { #chart text.inside { fill: #0d1013; } }
#names { position: sticky; left: 0; z-index: 2; width: 0; height: 0; }
#names div { position: absolute; left: 0; width: 120px; padding: 0 10px 0 24px; font-weight: 600;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; background: var(--ground); }
#names div.band { font-weight: 400; color: var(--soft); }
#chart text.faint { fill: var(--soft); font-size: 11px; pointer-events: none; }
.bar { cursor: default; } .bar:hover { filter: brightness(1.12); }
.dim { opacity: .38; }
#tip { position: fixed; z-index: 9; pointer-events: none; display: none; max-width: 460px;
  background: var(--panel); color: var(--ink); border: 1px solid var(--line); border-radius: 7px;
  padding: 8px 11px; box-shadow: 0 4px 18px #0003; font-size: 13px; overflow-wrap: anywhere; }
#tip b { display: block; } #tip span { color: var(--soft); }
`;
