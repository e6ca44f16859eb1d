import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { VENDORS } from '@polymla/backend-vendor'
import { expect, it } from 'vitest'
import { type Page, ROOT, readPages, tableUnder } from './markdown.js'

const pages = readPages()
const page = (path: string) => pages.find((known) => known.path === path) as Page
const namesIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
const header = readFileSync(join(ROOT, 'packages/native/include/polymla_backend.h'), 'utf8')

interface Status {
  readonly vendors: readonly {
    readonly name: string
    readonly portable: { readonly compiled: string; readonly emulated: string; readonly run: string } | null
    readonly adapter: { readonly ops: readonly string[]; readonly against: string } | null
  }[]
}
const status: Status = JSON.parse(
  readFileSync(join(ROOT, 'packages/backend-vendor/port-status.json'), 'utf8'),
)

it('the status table claims what the data has, and no more', () => {
  const rows = tableUnder(page('docs/vendors.md'), 'Status').map((row) => row.map((cell) => cell.trim()))
  const expected = status.vendors.map(({ name, portable, adapter }) => [
    `\`${name}\``,
    portable?.compiled ?? 'none',
    portable?.emulated ?? 'none',
    portable?.run ?? 'never',
    adapter ? `${adapter.ops.join(', ')}, against a ${adapter.against}` : 'none',
  ])
  expect(rows).toEqual(expected)
  expect(status.vendors.map(({ name }) => name)).toEqual(VENDORS.map(({ id }) => id))
})

it('no vendor claims to have been run without a report', () => {
  for (const { name, portable } of status.vendors) {
    if (!portable || portable.run === 'never') continue
    expect({ name, run: portable.run }).toEqual({
      name,
      run: expect.stringMatching(/^bench\/results\/conformance-[a-z0-9-]+\.json$/),
    })
    expect(() => readFileSync(join(ROOT, portable.run))).not.toThrow()
  }
})

it('the ABI page has every member of the table and every status', () => {
  const table = header.slice(header.indexOf('/* ---- The library'), header.indexOf('} pmla_library;'))
  const members = [...table.matchAll(/\(\*(\w+)\)\(/g)]
    .map(([, name]) => name)
    .filter((name) => name !== 'notify')
  expect(tableUnder(page('docs/abi.md'), 'The table').flatMap(([cell]) => namesIn(cell))).toEqual(members)
  const statuses = header.slice(
    header.indexOf('typedef int32_t pmla_status;'),
    header.indexOf('typedef struct {'),
  )
  const names = [...statuses.matchAll(/(PMLA_\w+) = \d+/g)].map(([, name]) => name)
  expect(tableUnder(page('docs/abi.md'), 'Statuses').flatMap(([cell]) => namesIn(cell))).toEqual(names)
})

it('the table of vendors is that of the code', () => {
  const rows = tableUnder(page('packages/backend-vendor/README.md'), '@polymla/backend-vendor')
  const vendors = VENDORS.map(({ id, devices, toolkit }) => [`\`${id}\``, devices, toolkit])
  expect(rows.map((row) => row.map((cell) => cell.trim()))).toEqual(vendors)
})
