"""How the page looks. Colours of lines are told apart by those who see few colours too (Okabe and Ito, 2008)."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{--ink:#1c2430;--dim:#5b6675;--back:#fff;--box:#f3f5f8;--edge:#c3cad4;--grid:#e4e8ee;--bad:#c2340c;--again:#b06f00;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#a0528a;--c4:#b58900;--c5:#3f9fd6;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa5b4;--back:#12161c;--box:#1d242e;--edge:#46515f;
--grid:#2a323d;--bad:#ff7a55;--again:#f0b040;--c0:#58b4ea;--c1:#ff9550;--c2:#3fd0a4;--c3:#d994c4;--c4:#e5c04a;--c5:#8accf5}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:960px;margin:0 auto;padding:20px 16px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:.4em 0 .2em}
h2{font-size:1.1rem;margin:2em 0 .6em;overflow-wrap:anywhere}
header p{margin:.3em 0;max-width:70ch}.facts,.legend,.tick,.label{color:var(--dim);font-size:.86rem}
.facts{overflow-wrap:anywhere}a{color:var(--c0)}
svg{display:block;width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .tick,svg .label{fill:var(--dim);font-size:11px}svg .name{font-weight:600;font-size:13px}
.wide{overflow-x:auto}.wide svg{min-width:560px}
table{border-collapse:collapse;font-size:.88rem;min-width:100%;margin-bottom:1em}
th,td{text-align:left;padding:.35em .9em .35em 0;border-bottom:1px solid var(--grid);vertical-align:top}
th{color:var(--dim);font-weight:500;white-space:nowrap}.number{text-align:right;white-space:nowrap}
td.number{font-variant-numeric:tabular-nums}
.grid{stroke:var(--grid)}.axis{stroke:var(--edge);fill:none}.mark{stroke:var(--bad);stroke-dasharray:4 3}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.dot{fill:var(--back);stroke-width:2}.s0.key{background:var(--c0)}.s1.key{background:var(--c1)}.s2.key{background:var(--c2)}
.s3.key{background:var(--c3)}.s4.key{background:var(--c4)}.s5.key{background:var(--c5)}
.legend span{margin-right:1.4em;white-space:nowrap}
.key{display:inline-block;width:18px;height:3px;margin-right:.5em;vertical-align:middle}
.cable{stroke:var(--edge);stroke-width:2}.device rect{fill:var(--box);stroke:var(--edge)}.router rect{stroke:var(--c0)}
.switch rect,.hub rect{stroke-dasharray:4 3}
.topology .tick{paint-order:stroke;stroke:var(--back);stroke-width:3px}.device .tick{stroke:none}
.life{stroke:var(--edge)}.flight{stroke:var(--c0);fill:none;stroke-width:1.4}.head{fill:var(--c0)}
.flight.lost{stroke:var(--bad)}.cross{stroke:var(--bad);stroke-width:2}
.flight.again{stroke:var(--again)}.head.again{fill:var(--again)}
.flight.damaged,.flight.duplicated{stroke:var(--bad);stroke-dasharray:5 3}
.said{font-size:11px!important;paint-order:stroke;stroke:var(--back);stroke-width:5px;stroke-linejoin:round}
svg .said.lost{fill:var(--bad)}svg .said.again{fill:var(--again)}
@media print{section{break-inside:avoid}}
"""
