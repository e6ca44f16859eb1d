// port-status.mjs [--write]: the table of docs/vendors.md, from what builds and conformance runs have left in port-status and from
// which adapters are built. Nothing in it is written by hand; a test compares the page with it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { librarySources } from './library-sources.mjs'

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

/** @returns {{ builds: any[], runs: any[], adapters: string[], sources: string }} what is known, and nothing more */
export function readEvidence() {
  const folder = file('../port-status/runs/')
  const cmake = readFileSync(file('../port-kit/adapters/CMakeLists.txt'), 'utf8')
  return {
    builds: JSON.parse(readFileSync(file('../port-status/builds.json'), 'utf8')),
    runs: readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => ({ file: name, ...JSON.parse(readFileSync(`${folder}${name}`, 'utf8')) })),
    adapters: [...cmake.matchAll(/^adapter\((\w+) /gm)].map(([, name]) => name),
    sources: librarySources(),
  }
}

/**
 * @param {{ builds: any[], runs: any[], adapters: string[], sources?: string }} evidence
 * @returns {{ vendor: string, op: string, compiled: string, emulated: string, run: string, adapter: string }[]}
 */
export function statusOf({ builds, runs, adapters, sources }) {
  const age = (records) =>
    records.some((record) => record.sources !== sources) ? ', of earlier sources' : ''
  return Object.keys(WAVES).flatMap((vendor) =>
    Object.keys(OPS).map((op) => ({
      vendor,
      op,
      compiled: compiledBy(builds, vendor, op, age),
      emulated: emulatedAt(runs, vendor, op, age),
      run: ranOn(runs, vendor, op, age),
      adapter: op === 'decode' && adapters.includes(vendor) ? 'against a mock' : 'none',
    })),
  )
}

function compiledBy(builds, vendor, op, age) {
  const ofOp = (kernel) => kernel.startsWith(OPS[op])
  const whole = builds.filter(
    (build) => vendorOf(build) === vendor && build.kernels.some(ofOp) && !build.missing.some(ofOp),
  )
  const told = whole.map((build) => {
    const { compiler, architectures, units } = build
    const by = OPS[op] === 'attend' && units?.length > 0 ? ` (${units.join(', ')})` : ''
    return `${compiler}: ${architectures.join(', ')}${by}${age([build])}`
  })
  return told.join('; ') || 'never'
}

const passes = (run, op) => run.failed === 0 && run.ops[op]?.passed > 0 && run.ops[op].failed === 0

function emulatedAt(runs, vendor, op, age) {
  const known = runs.filter(
    (run) =>
      run.vendor === 'emu' && WAVES[vendor].some((width) => run.arch === `wave${width}`) && passes(run, op),
  )
  if (known.length === 0) return 'never'
  const widths = WAVES[vendor].filter((width) => known.some((run) => run.arch === `wave${width}`))
  const unit = EMULATED_UNITS[vendor]
  const also = OPS[op] === 'attend' ? runs.filter((run) => run.vendor === unit && passes(run, op)) : []
  const by = also.length > 0 ? `; ${unit.toUpperCase()}${age(also)}` : ''
  return `waves of ${widths.join(', ')}${age(known)}${by}`
}

function ranOn(runs, vendor, op, age) {
  const told = runs
    .filter((run) => run.vendor === vendor && passes(run, op))
    .map((run) => {
      const { file, name, grid } = run
      return `[${name}, ${grid}](../packages/backend-vendor/port-status/runs/${file})${age([run])}`
    })
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
