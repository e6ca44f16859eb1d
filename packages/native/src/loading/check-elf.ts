import { endianness } from 'node:os'
import { findMissing, type LibraryNeeds, type LibrarySystem, thisSystem } from './dependencies.js'
import type { ByteReader } from './elf/byte-reader.js'
import { DynamicSection } from './elf/dynamic-section.js'
import { ElfFile, identifyElf } from './elf/elf-file.js'
import { loadFailed } from './load-failed.js'

/** PMLA_ABI_MAJOR of polymla_backend.h, and the entry whose name carries it. */
const ABI_MAJOR = 1
const ENTRY = 'pmla_library_v1'
/** Owner and type of PMLA_ELF_NOTE. */
const NOTE_OWNER = 'polymla\0'
const NOTE_TYPE = 1

const ET_DYN = 3

/** `e_machine`, by Node's name of the architecture. */
const machines: Readonly<Record<string, { number: number; name: string }>> = {
  x64: { number: 62, name: 'x86-64' },
  ia32: { number: 3, name: 'x86' },
  arm64: { number: 183, name: 'aarch64' },
  arm: { number: 40, name: 'arm' },
  ppc64: { number: 21, name: 'ppc64' },
  s390x: { number: 22, name: 's390x' },
  riscv64: { number: 243, name: 'riscv64' },
  loong64: { number: 258, name: 'loongarch64' },
}

/** Refuses what this process cannot load or polymla cannot use, as far as the file itself tells. */
export function checkElf(reader: ByteReader, system: LibrarySystem = thisSystem()): void {
  checkIdentity(reader)
  const elf = new ElfFile(reader, endianness() === 'LE')
  checkNote(elf)
  const dynamic = new DynamicSection(elf)
  if (dynamic.exports(ENTRY) === false) {
    const fix = 'Export the entry of polymla_backend.h with default visibility'
    throw loadFailed(reader.path, `an exported function ${ENTRY}`, 'none', fix)
  }
  checkDependencies(reader.path, dynamic, system)
}

function checkIdentity(reader: ByteReader): void {
  const { path } = reader
  const identity = identifyElf(reader)
  if (identity === null) {
    throw loadFailed(path, 'an ELF library', 'another kind of file', 'Give the path of the library itself')
  }
  const { name, number } = machines[process.arch] ?? { name: process.arch, number: identity.machine }
  const other = Object.values(machines).find((machine) => machine.number === identity.machine)
  const fix = `Install or build the library for ${name}`
  if (identity.machine !== number) {
    const built = `built for ${other?.name ?? `machine ${identity.machine}`}`
    throw loadFailed(path, `a library for ${name}, as this process is`, `one ${built}`, fix)
  }
  if (identity.class !== 2 || identity.littleEndian !== (endianness() === 'LE')) {
    const width = identity.class === 2 ? '64-bit' : '32-bit'
    const order = identity.littleEndian ? 'little-endian' : 'big-endian'
    const expected = `a 64-bit library in the byte order of ${name}`
    throw loadFailed(path, expected, `a ${width} ${order} one`, fix)
  }
  if (identity.type !== ET_DYN) {
    const found = `an ELF file of type ${identity.type}`
    throw loadFailed(path, 'a shared library', found, 'Link it with -shared')
  }
}

function checkNote(elf: ElfFile): void {
  const { path } = elf.reader
  const version = abiVersion(elf)
  if (version === null) {
    const fix = 'Give the path of a polymla backend; its source has PMLA_ELF_NOTE of polymla_backend.h'
    throw loadFailed(path, 'the ELF note of a polymla backend', 'none', fix)
  }
  const [major, minor] = version
  if (major === ABI_MAJOR) return
  const older = major < ABI_MAJOR ? 'the backend' : '@polymla/native'
  const found = `version ${major}.${minor}`
  const expected = `major version ${ABI_MAJOR} of polymla's backend ABI`
  throw loadFailed(path, expected, found, `Update ${older}`, 'POLYMLA_API_VERSION')
}

function abiVersion(elf: ElfFile): [major: number, minor: number] | null {
  for (const { owner, type, words } of elf.notes()) {
    if (owner === NOTE_OWNER && type === NOTE_TYPE && words.length >= 2) return [words[0]!, words[1]!]
  }
  return null
}

function checkDependencies(path: string, needs: LibraryNeeds, system: LibrarySystem): void {
  const missing = findMissing(path, needs, system)
  if (missing === undefined) return
  throw loadFailed(
    path,
    `${missing}, which it is linked against`,
    'it in none of the folders that the dynamic linker searches',
    `Install the package that has ${missing}, or start Node with LD_LIBRARY_PATH naming its folder`,
  )
}
