// Writes the library's hash into the manifest: what is published is what was tested.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync('polymla.json', 'utf8'))
manifest.sha256 = createHash('sha256').update(readFileSync(manifest.library)).digest('hex')
writeFileSync('polymla.json', `${JSON.stringify(manifest, null, 2)}\n`)
