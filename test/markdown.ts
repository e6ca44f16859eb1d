import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** A markdown file that people wrote. */
export interface Page {
  /** Relative to the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** A fenced code block. */
export interface Block {
  readonly page: string
  readonly language: string
  /** What follows the language, e.g. `run=readme`. */
  readonly mark: string
  readonly code: string
}

/** Folders that tools make; `api` is typedoc's. */
const MADE = new Set(['node_modules', 'dist', 'bundle', 'coverage', 'api', 'build'])

export function readPages(folder = ROOT): Page[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return MADE.has(entry.name) || entry.name.startsWith('.') ? [] : readPages(path)
    if (!entry.name.endsWith('.md')) return []
    return [{ path: relative(ROOT, path).replaceAll('\\', '/'), text: readFileSync(path, 'utf8') }]
  })
}

export function blocksOf({ path, text }: Page): Block[] {
  const fences = text.matchAll(/^```(\w*) ?([^\n]*)\n(.*?)^```$/gms)
  return [...fences].map(([, language, mark, code]) => ({ page: path, language, mark, code }))
}

/** The text without its code blocks. */
function prose({ text }: Page): string {
  return text.replaceAll(/^```.*?^```$/gms, '')
}

/** Targets of links and images. */
export function linksOf(page: Page): string[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target)
}

/** The anchors that GitHub gives a page's headings. */
export function anchorsOf(page: Page): string[] {
  return [...prose(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** Cells of the rows under a heading's table, without its head. */
export function tableUnder({ path, text }: Page, heading: string): string[][] {
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`))
  if (!section) throw new Error(`${path} has no heading ${heading}`)
  const rows = section.split('\n').filter((line) => line.startsWith('|'))
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}
