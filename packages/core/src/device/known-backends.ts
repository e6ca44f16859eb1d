import type { Backend } from '../backend/index.js'

/**
 * First-party backends by name. Each is an optional peer: the imports are literal so that bundlers see them, and cast so
 * that core's types do not depend on what is installed.
 */
const KNOWN: Readonly<Record<string, () => Promise<{ default: () => Backend }>>> = {
  reference: () => import('@polymla/backend-reference' as string),
}

type Found = { readonly backend: Backend } | { readonly name: string; readonly failure: unknown }

/**
 * Loads the known backends, or those that `POLYMLA_BACKENDS` names: known names, or packages whose default export makes
 * a backend. One that is not installed is left out when nobody named it; any other failure is reported.
 */
export async function discoverBackends(
  env: Readonly<Record<string, string | undefined>>,
  registered: (name: string) => boolean,
): Promise<Found[]> {
  const named = (env.POLYMLA_BACKENDS ?? '').split(',').flatMap((name) => name.trim() || [])
  const names = (named.length > 0 ? named : Object.keys(KNOWN)).filter((name) => !registered(name))
  const results = await Promise.all(
    names.map(async (name): Promise<Found | null> => {
      try {
        const module = await (Object.hasOwn(KNOWN, name) ? KNOWN[name]() : import(/* @vite-ignore */ name))
        return { backend: module.default() }
      } catch (failure) {
        if (named.length === 0 && isMissing(failure)) return null
        return { name, failure }
      }
    }),
  )
  return results.filter((found) => found !== null)
}

/** Whether the package itself is absent, as opposed to something it needs. */
function isMissing(failure: unknown): boolean {
  const { code, message } = failure as { code?: string; message?: string }
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    /@polymla\/backend-[a-z-]+['"]/.test(message ?? '')
  )
}
