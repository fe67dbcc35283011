/** The page's looks: light and dark by the reader's setting. */
export const STYLE = `
:root { color-scheme: light dark;
  --ground: #fcfcfb; --panel: #ffffff; --ink: #1d2126; --soft: #6a727c; --line: #e3e5e8;
  --lane: #f4f5f6; --leader: #2f9468; --follower: #9fb4c9; --candidate: #d9952f; --down: #e7e9eb;
  --starting: #cfd4da; --acknowledged: #4a7fc1; --notApplied: #c9a2a0; --unknown: #b6bcc4;
  --fault: #e39a2d; --bad: #d33a32; --inside: #ffffff; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #14171a; --panel: #1b1f23; --ink: #e7eaed; --soft: #98a1ab; --line: #2d3238;
  --lane: #1f2429; --leader: #4fbd8d; --follower: #47586a; --candidate: #d9952f; --down: #23282d;
  --starting: #343b42; --acknowledged: #6ea3e6; --notApplied: #7c5654; --unknown: #565e67;
  --fault: #d9952f; --bad: #ff6b61; --inside: #0d1013; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header { padding: 20px 24px 12px; max-width: 1100px; }
h1 { font-size: 19px; margin: 0 0 2px; font-weight: 650; overflow-wrap: anywhere; }
.failed h1 b { color: var(--bad); }
.ok h1 b { color: var(--leader); }
header p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
.tools { position: sticky; top: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: 8px 16px;
  align-items: center; padding: 9px 24px; background: var(--panel);
  border-block: 1px solid var(--line); }
.tools button { font: inherit; color: inherit; background: var(--ground); cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; min-width: 32px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; color: var(--soft); font-size: 12.5px; }
.legend i { display: inline-block; width: 16px; height: 10px; border-radius: 3px;
  margin-right: 5px; }
#chart { position: relative; overflow: auto; max-height: calc(100vh - 60px); }
#chart svg { display: block; }
#chart text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  fill: var(--soft); }
#chart text.inside { fill: var(--inside); font-size: 11px; pointer-events: none; }
#names { position: sticky; left: 0; z-index: 2; width: 0; height: 0; }
#names div { position: absolute; left: 0; width: 120px; padding: 0 10px 0 24px; font-weight: 600;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; background: var(--ground); }
#names div.fault { font-weight: 400; color: var(--soft); }
#tip { position: fixed; z-index: 9; pointer-events: none; display: none; max-width: 460px;
  background: var(--panel); color: var(--ink); border: 1px solid var(--line); border-radius: 7px;
  padding: 8px 11px; box-shadow: 0 4px 18px #0003; font-size: 13px; overflow-wrap: anywhere; }
#tip b { display: block; } #tip span { color: var(--soft); }
`;
