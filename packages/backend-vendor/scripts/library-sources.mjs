// Which sources a record in port-status is of: a hash of the portable kernels and of what plans and launches them, for any device.
// What has changed since then has neither been compiled, emulated nor run, and the status table says so.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const FOLDERS = [
  'packages/backend-vendor/native/kernels',
  'packages/backend-vendor/native/library',
  'packages/backend-vendor/native/mma',
  'packages/backend-vendor/native/plans',
  'packages/native/gpu/dialect',
  'packages/native/gpu/library',
  'packages/native/gpu/ops',
]

/** @returns {string} of the files as they lie here, or as a commit has them */
export function librarySources(commit) {
  const files = commit === undefined ? filesHere() : filesOf(commit)
  const lines = files.toSorted().join('\n')
  return createHash('sha256').update(lines).digest('hex').slice(0, 12)
}

function filesHere() {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => `${blobOf(readFileSync(join(ROOT, folder, name)))} ${folder}/${name}`),
  )
}

function filesOf(commit) {
  const folders = FOLDERS.map((folder) => `${folder}/`)
  const listed = execFileSync('git', ['ls-tree', commit, ...folders], { cwd: ROOT, encoding: 'utf8' })
  return [...listed.matchAll(/^\d+ blob (\w+)\t(.*)$/gm)].map(([, blob, path]) => `${blob} ${path}`)
}

/** The id that git gives a file with this content. */
function blobOf(content) {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}
