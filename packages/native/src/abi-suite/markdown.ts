import type { AbiReport } from './abi-suite.js'

/** What a report says beside what was found. */
export interface AbiReportFacts {
  /** Driver and runtime, where the library does not tell. */
  readonly driver?: string | undefined
  /** Commit that the library was built from. */
  readonly commit?: string | undefined
  /** Version or commit of polymla. */
  readonly polymla?: string | undefined
  /** When, in ISO 8601. */
  readonly date?: string | undefined
}

/** A report for people: what was tested, a row per check, and what failed in full. */
export function abiMarkdown(report: AbiReport, facts: AbiReportFacts): string {
  const { library, device, seed, effort, passed, failed, skipped, checks } = report
  const found = library.devices[device]
  const rows: [string, string | null | undefined][] = [
    ['library', library.name && `${library.name} ${library.version}, ABI ${library.abi}`],
    ['device', found ? `${device}: ${found.name} (${found.arch})` : library.name && `${device}: none`],
    ['driver', facts.driver ?? library.driver],
    ['commit', facts.commit],
    ['polymla', facts.polymla],
    ['date', facts.date],
    ['seed, effort', `${seed}, ${effort}`],
  ]
  return [
    `# ABI conformance: ${passed} passed, ${failed} failed, ${skipped} skipped`,
    '',
    '| what | |',
    '| --- | --- |',
    ...rows.map(([what, value]) => `| ${what} | ${cell(value ?? 'not given')} |`),
    '',
    '| check | result | what a library that passes it does |',
    '| --- | --- | --- |',
    ...checks.map(({ name, status, about }) => `| ${name} | ${status} | ${cell(about)} |`),
    '',
    ...checks
      .filter(({ status }) => status !== 'passed')
      .map(({ name, status, message }) => `- **${name}** ${status}: ${cell(message)}`),
    '',
  ].join('\n')
}

/** Text that stays within its cell. */
function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replaceAll('|', '\\|')
}
