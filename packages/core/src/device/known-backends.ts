import type { Backend } from '../backend/index.js'
import { invalidArgument } from '../errors.js'

type Env = Readonly<Record<string, string | undefined>>

/**
 * First-party backends by name. Each is an optional peer: the imports are literal so that bundlers see them, caught so
 * that bundlers do without what is not installed, and cast so that core's types do not depend on it either.
 */
const KNOWN: Readonly<Record<string, () => Promise<{ default: () => Backend }>>> = {
  cpu: () => import('@polymla/backend-cpu' as string).catch(rethrow),
  cuda: () => import('@polymla/backend-cuda-hopper' as string).catch(rethrow),
  reference: () => import('@polymla/backend-reference' as string).catch(rethrow),
}

function rethrow(failure: unknown): never {
  throw failure
}

/** What `POLYMLA_BACKENDS` names: the only backends that are probed. Null when it is empty. */
export function allowList(env: Env): string[] | null {
  const names = (env.POLYMLA_BACKENDS ?? '').split(',').flatMap((name) => name.trim() || [])
  return names.length > 0 ? names : null
}

/**
 * Loads the known backends, or those that `POLYMLA_BACKENDS` names: known names, or packages whose default export makes
 * a backend. One that is not installed is left out when nobody named it; any other failure is passed on.
 *
 * @param take called with each name and what its package exports, which may be anything
 * @param fail called with each name and what went wrong, in `take` too
 */
export async function discoverBackends(
  env: Env,
  registered: (name: string) => boolean,
  take: (backend: Backend) => void,
  fail: (name: string, failure: unknown) => void,
): Promise<void> {
  const allowed = allowList(env)
  const names = (allowed ?? Object.keys(KNOWN)).filter((name) => !registered(name))
  await Promise.all(
    names.map(async (name) => {
      try {
        const module = await (Object.hasOwn(KNOWN, name) ? KNOWN[name]() : import(/* @vite-ignore */ name))
        if (typeof module.default !== 'function') {
          throw invalidArgument(
            `default export of ${name}`,
            'a function that makes a backend',
            module.default,
          )
        }
        take(module.default())
      } catch (failure) {
        if (allowed || !isMissing(failure)) fail(name, failure)
      }
    }),
  )
}

/** Whether the package itself is absent, as opposed to something it needs. */
function isMissing(failure: unknown): boolean {
  const { code, message } = (failure ?? {}) as { code?: string; message?: string }
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    /@polymla\/backend-[a-z-]+['"]/.test(message ?? '')
  )
}
