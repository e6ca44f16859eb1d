import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { ByteReader } from './elf/byte-reader.js'
import { DynamicSection } from './elf/dynamic-section.js'
import { ElfFile } from './elf/elf-file.js'

/** Whatever of a process decides where its dynamic linker finds libraries. */
export interface LibrarySystem {
  /** LD_LIBRARY_PATH, as the process was started with it. */
  readonly libraryPath: string
  /** DT_RPATH of the executable and the folder that is its $ORIGIN. */
  readonly executable: { readonly rpath: string; readonly origin: string } | null
  /** Files that are mapped into the process, whole paths. */
  readonly loaded: readonly string[]
  /** /etc/ld.so.cache. */
  readonly cache: Buffer
}

/** What a library says that it needs; see {@link DynamicSection}. */
export interface LibraryNeeds {
  readonly needed: readonly string[]
  readonly rpath: string | undefined
  readonly runpath: string | undefined
}

/** glibc's own folders, as distributions build it. */
const standardFolder = /^(\/usr)?\/lib(64)?(\/[^/]+-linux-gnu\w*)?$/

/**
 * The first library that `path` is linked against and the dynamic linker will surely not find, by the rules of
 * ld.so(8): RPATH, LD_LIBRARY_PATH, RUNPATH, cache, standard folders. Undefined when all are there, or when it takes
 * dlopen to find out: another C library than a distribution's glibc, a name with a slash, a folder given by $LIB.
 */
export function findMissing(path: string, needs: LibraryNeeds, system: LibrarySystem): string | undefined {
  const libc = system.loaded.find((file) => /^libc(\.so\.6|-2\.\d+\.so)$/.test(basename(file)))
  if (libc === undefined || !standardFolder.test(dirname(libc))) return undefined
  const folders = foldersOf(dirname(path), needs, system).concat(standardFolders())
  if (folders.some((folder) => folder.includes('$'))) return undefined
  const loaded = system.loaded.map((file) => basename(file))
  return needs.needed.find(
    (name) =>
      !name.includes('/') &&
      // What is mapped as libx.so.4.1 goes by the name libx.so.4.
      !loaded.some((file) => file.startsWith(name)) &&
      !system.cache.includes(`${name}\0`) &&
      !folders.some((folder) => holds(folder, name)),
  )
}

function foldersOf(origin: string, { rpath, runpath }: LibraryNeeds, system: LibrarySystem): string[] {
  const { executable, libraryPath } = system
  const folders = libraryPath.split(/[:;]/)
  if (runpath !== undefined) return folders.concat(expand(runpath, origin))
  return folders.concat(
    expand(rpath ?? '', origin),
    executable ? expand(executable.rpath, executable.origin) : [],
  )
}

function expand(folders: string, origin: string): string[] {
  return folders.split(':').map((folder) => folder.replace(/\$ORIGIN\b|\$\{ORIGIN\}/g, () => origin))
}

function standardFolders(): string[] {
  const roots = ['/lib', '/usr/lib', '/lib64', '/usr/lib64']
  const multiarch = roots.flatMap((root) => list(root).map((name) => join(root, name)))
  return roots.concat(multiarch.filter((folder) => standardFolder.test(folder)))
}

/** Builds for one level of a processor lie in glibc-hwcaps/<level> below a folder that is searched. */
function holds(folder: string, name: string): boolean {
  const levels = join(folder, 'glibc-hwcaps')
  return existsSync(join(folder, name)) || list(levels).some((level) => existsSync(join(levels, level, name)))
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** The system of this process. What cannot be read counts as empty. */
export function thisSystem(): LibrarySystem {
  const environment = readOrEmpty('/proc/self/environ').toString().split('\0')
  const variable = environment.find((entry) => entry.startsWith('LD_LIBRARY_PATH='))
  const maps = readOrEmpty('/proc/self/maps').toString()
  return {
    libraryPath: variable?.slice('LD_LIBRARY_PATH='.length) ?? '',
    executable: executableRpath(),
    loaded: [...new Set(Array.from(maps.matchAll(/ (\/.*)$/gm), ([, file]) => file!))],
    cache: readOrEmpty('/etc/ld.so.cache'),
  }
}

function readOrEmpty(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}

function executableRpath(): LibrarySystem['executable'] {
  let descriptor: number | undefined
  try {
    descriptor = openSync('/proc/self/exe', 'r')
    const reader = ByteReader.ofFile(process.execPath, descriptor)
    const { rpath, runpath } = new DynamicSection(new ElfFile(reader, endianness() === 'LE'))
    if (rpath === undefined || runpath !== undefined) return null
    return { rpath, origin: dirname(process.execPath) }
  } catch {
    return null
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
