import type { Case } from '../cases/case.js'

/** Every combination of the given choices, the first property varying slowest. */
export function product<T extends Record<string, readonly unknown[]>>(
  choices: T,
): { [K in keyof T]: T[K][number] }[] {
  let all: Record<string, unknown>[] = [{}]
  for (const [name, values] of Object.entries(choices)) {
    all = all.flatMap((one) => values.map((value) => ({ ...one, [name]: value })))
  }
  return all as { [K in keyof T]: T[K][number] }[]
}

/** `count` of the items, evenly spread over the list by a step that does not fall in with its periods. */
export function thin<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items]
  const golden = (Math.sqrt(5) - 1) / 2
  const chosen = new Set<number>()
  for (let i = 0; chosen.size < count; i++) chosen.add(Math.floor(((i * golden) % 1) * items.length))
  return [...chosen].sort((a, b) => a - b).map((i) => items[i])
}

/** Without the cases that are there already under the same name. */
export function distinct(cases: readonly Case[]): Case[] {
  return [...new Map(cases.map((one) => [one.name, one])).values()]
}
