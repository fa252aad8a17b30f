"""How pages and figures look: one palette that colour-blind people can tell apart, on light and dark ground."""

# Okabe and Ito, "Color universal design" (2008), in the order in which we use them.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, YELLOW = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
)
GREY = "#7A7A7A"
SERIES = (BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE)

STYLE = """
:root { --ground: #fff; --ink: #1c1e21; --soft: #5b6169; --line: #dfe2e6; --card: #f6f7f9;
        --good: #00664a; --bad: #a84300; --warn: #8a6100; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #16181b; --ink: #e6e8ea; --soft: #a0a6ad; --line: #33373c; --card: #1f2226;
          --good: #4cc9a0; --bad: #ff9a5c; --warn: #e8c14a; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { white-space: pre-line; margin: .5rem 0; overflow-wrap: break-word; }
.banner { padding: .6rem .9rem; border-left: 4px solid var(--soft); background: var(--card); }
.banner span { font-weight: 700; }
.banner.good { border-color: var(--good); } .banner.good span { color: var(--good); }
.banner.bad { border-color: var(--bad); } .banner.bad span { color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1.1rem .35rem 0; border-bottom: 1px solid var(--line);
         overflow-wrap: break-word; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.facts th { color: var(--soft); font-weight: 500; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; text-align: right; }
td.state { white-space: nowrap; font-weight: 600; } td.state.neutral { color: var(--soft); font-weight: 400; }
td.state.good { color: var(--good); } td.state.warn { color: var(--warn); } td.state.bad { color: var(--bad); }
.facts td.number { text-align: left; }
figure { margin: 1.25rem 0 2rem; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
             border-radius: 6px; padding: .4rem; }
@media screen and (prefers-color-scheme: dark) { figure img { filter: brightness(.75); } }  /* read in a dark room */
figcaption { color: var(--soft); font-size: .92rem; margin-top: .45rem; }
figcaption strong { color: var(--ink); }
details { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: .85rem; line-height: 1.4; }
main > pre { background: var(--card); padding: .6rem .9rem; border-radius: 6px; white-space: pre-wrap;
             overflow-wrap: anywhere; }
@page { margin: 1.6cm; }
@media print {
  :root { --ground: #fff; --ink: #000; --soft: #444; --line: #bbb; --card: #f3f3f3;
          --good: #00664a; --bad: #a84300; --warn: #8a6100; }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  figure, tr, .banner { break-inside: avoid; } h2 { break-after: avoid; } thead { display: table-header-group; }
  figure img { max-height: 22cm; } .wide { overflow: visible; } details > pre { white-space: pre-wrap; }
}
"""
