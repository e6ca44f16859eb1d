// plots.mjs [--write]: the figures of the Hopper kernels on an H200 as SVG, from the newest bench/results/h200-dense-*.json and the
// anchors. A test fails where bench/plots holds anything else than this makes.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = (path) => fileURLToPath(new URL(path, import.meta.url))
const json = (path) => JSON.parse(readFileSync(file(path), 'utf8'))

/** Few requests wait for latencies; of many, few query rows wait for memory and many for arithmetic: as in `polymla bench`. */
const GROUPS = [
  { name: 'small: up to 16 requests', key: 'small', short: 'up to 16 requests', has: (b, _rows) => b <= 16 },
  {
    name: 'memory-bound: more requests, up to 64 query rows',
    key: 'memory',
    short: 'more, up to 64 query rows each',
    has: (b, rows) => b > 16 && rows <= 64,
  },
  {
    name: 'compute-bound: more requests, more rows',
    key: 'compute',
    short: 'more, and more rows',
    has: (b, rows) => b > 16 && rows > 64,
  },
]
const ANCHORS = [
  { name: 'FlashMLA 9241ae3', key: 'flashmla', kind: 'dense.bf16' },
  { name: 'FlashAttention-3 0251105', key: 'fa3', kind: 'dense.fa3.bf16' },
]
const shape = ({ b, s_q, s_k, h_q, varlen, causal }) => JSON.stringify([b, s_q, s_k, h_q, varlen, causal])
const groupOf = ({ b, s_q, h_q }) => GROUPS.find(({ has }) => has(b, s_q * h_q))

/** Readable on white and on black: the colours follow the reader's scheme. */
const STYLE = `<style>
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:14px;font-weight:600}.faint{fill:#57606a}
.axis{stroke:#8c959f}.grid{stroke:#d0d7de}.one{stroke:#24292f;stroke-width:1.5}
.small{fill:#0969da;stroke:#0969da}.memory{fill:#bf8700;stroke:#bf8700}.compute{fill:#cf222e;stroke:#cf222e}
.flashmla{fill:#0969da;stroke:#0969da}.fa3{fill:#bc4c00;stroke:#bc4c00}.mark{fill-opacity:.45}.mean{stroke-width:3}
.roof{fill:none;stroke:#57606a;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.axis{stroke:#6e7681}.grid{stroke:#30363d}
.one{stroke:#e6edf3}.small,.flashmla{fill:#58a6ff;stroke:#58a6ff}.memory{fill:#e3b341;stroke:#e3b341}
.compute{fill:#ff7b72;stroke:#ff7b72}.fa3{fill:#ffa657;stroke:#ffa657}.roof{fill:none;stroke:#9198a1}}
</style>`

const n = (value) => Number(value.toFixed(1))
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const text = (x, y, words, { at = 'start', style = '' } = {}) =>
  `<text x="${n(x)}" y="${n(y)}" text-anchor="${at}"${style && ` class="${style}"`}>${escaped(words)}</text>`
const line = (x1, y1, x2, y2, style) =>
  `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" class="${style}"/>`
const dot = (x, y, style, title) =>
  `<circle cx="${n(x)}" cy="${n(y)}" r="4" class="mark ${style}"><title>${escaped(title)}</title></circle>`

/** A logarithmic axis. */
const scale = (from, to, begin, end) => (value) =>
  begin + ((end - begin) * Math.log(value / from)) / Math.log(to / from)
const geomean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)

function svg(width, height, about, parts) {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(about)}</title>`,
    STYLE,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

const told = ({ b, s_q, s_k, h_q, varlen }) =>
  `${b} requests of ${s_k}${varlen ? ', varying' : ''}, s_q ${s_q}, ${h_q} heads`

/** Times of the anchors over ours, a dot per problem, a strip per group and anchor. */
function ratios({ rows, device, date }, anchors) {
  const [left, right, top, step] = [40, 720, 92, 46]
  const x = scale(0.75, 3, left, right)
  const height = top + GROUPS.length * (2 * step + 22) + 34
  const parts = [
    text(left, 22, `Time of the anchor / time of polymla, dense decode in bf16 on one ${device}, ${date}`, {
      style: 'title',
    }),
  ]
  ANCHORS.forEach(({ name, key }, i) => {
    parts.push(dot(left + 6 + i * 190, 42, key, name), text(left + 16 + i * 190, 46, name))
  })
  parts.push(text(left + 400, 46, 'bar: geometric mean', { style: 'faint' }))
  for (const tick of [0.75, 1, 1.25, 1.5, 2, 2.5, 3]) {
    parts.push(line(x(tick), 58, x(tick), height - 30, tick === 1 ? 'one' : 'grid'))
    parts.push(text(x(tick), height - 14, `${tick}×`, { at: 'middle', style: 'faint' }))
  }
  parts.push(text(x(1) + 6, 70, 'right of this line polymla is faster', { style: 'faint' }))
  GROUPS.forEach((group, i) => {
    const y = top + i * (2 * step + 22)
    const mine = rows.filter((row) => groupOf(row) === group)
    parts.push(text(left, y + 4, `${group.name} (${mine.length})`))
    ANCHORS.forEach(({ name, key, kind }, j) => {
      const middle = y + 26 + j * step
      const found = mine.map((row) => ({ row, ratio: anchors.get(`${kind} ${shape(row)}`) / row.us }))
      found.forEach(({ row, ratio }, k) => {
        parts.push(
          dot(x(ratio), middle + ((k * 7) % 11) - 5, key, `${told(row)}: ${ratio.toFixed(2)} (${name})`),
        )
      })
      const mean = geomean(found.map(({ ratio }) => ratio))
      parts.push(line(x(mean), middle - 12, x(mean), middle + 12, `mean ${key}`))
      parts.push(text(right + 8, middle + 4, `${mean.toFixed(2)}×`))
    })
  })
  return svg(780, height, 'Time ratios to FlashMLA and FlashAttention-3', parts)
}

/** TFLOP/s over arithmetic intensity, under what the same card does at best. */
function roofline({ rows, device, date }, { bandwidth, arithmetic }) {
  const [left, right, top, bottom] = [64, 720, 64, 430]
  const x = scale(24, 600, left, right)
  const y = scale(8, 1000, bottom, top)
  const parts = [
    text(16, 22, `TFLOP/s of dense decode in bf16 on one ${device}, ${date}, by FLOP per byte`, {
      style: 'title',
    }),
  ]
  GROUPS.forEach(({ name, key, short }, i) => {
    const at = 20 + [0, 180, 460][i]
    parts.push(dot(at, 42, key, name), text(at + 10, 46, short))
  })
  for (const tick of [10, 30, 100, 300, 1000])
    parts.push(
      line(left, y(tick), right, y(tick), 'grid'),
      text(left - 8, y(tick) + 4, `${tick}`, { at: 'end', style: 'faint' }),
    )
  for (const tick of [30, 100, 300])
    parts.push(
      line(x(tick), top, x(tick), bottom, 'grid'),
      text(x(tick), bottom + 18, `${tick}`, { at: 'middle', style: 'faint' }),
    )
  parts.push(text((left + right) / 2, bottom + 38, 'FLOP per byte', { at: 'middle' }))
  const ridge = arithmetic / bandwidth
  const points = [24, ridge, 600].map((at) => `${n(x(at))},${n(y(Math.min(at * bandwidth, arithmetic)))}`)
  parts.push(`<polyline points="${points.join(' ')}" class="roof"/>`)
  parts.push(
    text(right, y(arithmetic) - 6, `bf16 matrix products: ${Math.round(arithmetic)} TFLOP/s`, {
      at: 'end',
      style: 'faint',
    }),
  )
  parts.push(
    text(x(80), y(80 * bandwidth) - 12, `reading memory: ${bandwidth.toFixed(2)} TB/s`, {
      at: 'end',
      style: 'faint',
    }),
  )
  for (const row of rows) {
    const { tflops, gbps } = row
    const shares = `${tflops} TFLOP/s (${Math.round((100 * tflops) / arithmetic)}%), ${gbps} GB/s (${Math.round(gbps / bandwidth / 10)}%)`
    parts.push(dot(x((1000 * tflops) / gbps), y(tflops), groupOf(row).key, `${told(row)}: ${shares}`))
  }
  GROUPS.forEach(({ key }, i) => {
    const mine = rows.filter((row) => groupOf(row).key === key)
    const most = (value) => Math.max(...mine.map(value))
    const [flops, bytes] = [
      most(({ tflops }) => tflops) / arithmetic,
      most(({ gbps }) => gbps / 1000) / bandwidth,
    ]
    const words = `${key}: at best ${Math.round(100 * flops)}% of the arithmetic, ${Math.round(100 * bytes)}% of the bandwidth`
    parts.push(text(right, bottom - 50 + i * 17, words, { at: 'end', style: 'faint' }))
  })
  return svg(740, 480, 'Roofline of the Hopper kernels', parts)
}

/** The files of bench/plots, by name. */
export function plots() {
  const newest = readdirSync(file('results'))
    .filter((name) => /^h200-dense-.*\.json$/.test(name))
    .toSorted()
    .at(-1)
  const report = json(`results/${newest}`)
  const rows = json('anchors/h200.json')
  const anchors = new Map(
    rows.filter(({ us, s_k }) => us && s_k).map((row) => [`${row.kind} ${shape(row)}`, row.us]),
  )
  const ceiling = (kind) => rows.find((row) => row.kind === `ceiling.${kind}`)
  return {
    'h200-ratios.svg': ratios(report, anchors),
    'h200-roofline.svg': roofline(report, {
      bandwidth: ceiling('read(sum)').gbps / 1000,
      arithmetic: ceiling('bf16_gemm').tflops,
    }),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(file('plots'), { recursive: true })
  for (const [name, content] of Object.entries(plots())) {
    if (process.argv.includes('--write')) writeFileSync(file(`plots/${name}`), content)
    console.log(`bench/plots/${name}: ${content.length} bytes`)
  }
}
