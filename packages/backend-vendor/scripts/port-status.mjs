// port-status.mjs [--write]: the table of docs/vendors.md, from what builds and conformance runs have left in port-status and from
// which adapters are built. Nothing in it is written by hand; a test compares the page with it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = (path) => fileURLToPath(new URL(path, import.meta.url))
const PAGE = file('../../../docs/vendors.md')
const [BEGIN, END] = ['<!-- port-status -->', '<!-- /port-status -->']

/** Each op and the kernels that it takes; `attend` stands for all that begin so. */
const OPS = {
  decode: 'attend',
  sparseDecode: 'attend',
  sparsePrefill: 'attend',
  appendKv: 'append-kv',
  mergeStates: 'merge-states',
  copyPages: 'copy-pages',
}

/** Widths of waves that a vendor's devices have. */
const WAVES = { cuda: [32], metax: [64], musa: [32, 128], dcu: [64], corex: [64], hip: [32, 64], tyllm: [] }

/** A vendor's matrix unit that there is an emulated device with, by what the vendor says of it. */
const EMULATED_UNITS = { musa: 'sqmma' }

const VENDOR_OF = { CUDA: 'cuda', MACA: 'metax', MUSA: 'musa', COREX: 'corex', HIP: 'hip' }
const vendorOf = ({ library, dialect }) => (library === 'dcu' ? 'dcu' : VENDOR_OF[dialect])

/** @returns {{ builds: any[], runs: any[], adapters: string[] }} what is known, and nothing more */
export function readEvidence() {
  const folder = file('../port-status/runs/')
  const cmake = readFileSync(file('../port-kit/adapters/CMakeLists.txt'), 'utf8')
  return {
    builds: JSON.parse(readFileSync(file('../port-status/builds.json'), 'utf8')),
    runs: readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => ({ file: name, ...JSON.parse(readFileSync(`${folder}${name}`, 'utf8')) })),
    adapters: [...cmake.matchAll(/^adapter\((\w+) /gm)].map(([, name]) => name),
  }
}

/** @returns {{ vendor: string, op: string, compiled: string, emulated: string, run: string, adapter: string }[]} */
export function statusOf({ builds, runs, adapters }) {
  return Object.keys(WAVES).flatMap((vendor) =>
    Object.keys(OPS).map((op) => ({
      vendor,
      op,
      compiled: compiledBy(builds, vendor, op),
      emulated: emulatedAt(runs, vendor, op),
      run: ranOn(runs, vendor, op),
      adapter: op === 'decode' && adapters.includes(vendor) ? 'against a mock' : 'none',
    })),
  )
}

function compiledBy(builds, vendor, op) {
  const ofOp = (kernel) => kernel.startsWith(OPS[op])
  const whole = builds.filter(
    (build) => vendorOf(build) === vendor && build.kernels.some(ofOp) && !build.missing.some(ofOp),
  )
  const told = whole.map(({ compiler, architectures, units }) => {
    const by = OPS[op] === 'attend' && units?.length > 0 ? ` (${units.join(', ')})` : ''
    return `${compiler}: ${architectures.join(', ')}${by}`
  })
  return told.join('; ') || 'never'
}

const passes = (run, op) => run.failed === 0 && run.ops[op]?.passed > 0 && run.ops[op].failed === 0

function emulatedAt(runs, vendor, op) {
  const widths = WAVES[vendor].filter((width) =>
    runs.some((run) => run.vendor === 'emu' && run.arch === `wave${width}` && passes(run, op)),
  )
  if (widths.length === 0) return 'never'
  const unit = EMULATED_UNITS[vendor]
  const also = runs.some((run) => run.vendor === unit && passes(run, op)) && OPS[op] === 'attend'
  return `waves of ${widths.join(', ')}${also ? `; ${unit.toUpperCase()}` : ''}`
}

function ranOn(runs, vendor, op) {
  const told = runs
    .filter((run) => run.vendor === vendor && passes(run, op))
    .map(({ file, name, grid }) => `[${name}, ${grid}](../packages/backend-vendor/port-status/runs/${file})`)
  return told.join('; ') || 'never'
}

/** A row per vendor and ops of which the same is known. */
export function tableOf(status) {
  const rows = new Map()
  for (const { vendor, op, ...known } of status) {
    const key = JSON.stringify([vendor, known])
    rows.set(key, [...(rows.get(key) ?? []), op])
  }
  return [
    '| vendor | op | compiled | emulated | run on hardware | adapter |',
    '| --- | --- | --- | --- | --- | --- |',
    ...[...rows].map(([key, ops]) => {
      const [vendor, { compiled, emulated, run, adapter }] = JSON.parse(key)
      const names = ops.map((op) => `\`${op}\``).join(', ')
      return `| \`${vendor}\` | ${names} | ${compiled} | ${emulated} | ${run} | ${adapter} |`
    }),
  ].join('\n')
}

/** The page with the table between its markers. */
export function pageWith(page, table) {
  const [before, rest] = page.split(BEGIN)
  const [, after] = rest.split(END)
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = tableOf(statusOf(readEvidence()))
  if (process.argv.includes('--write')) writeFileSync(PAGE, pageWith(readFileSync(PAGE, 'utf8'), table))
  else console.log(table)
}
