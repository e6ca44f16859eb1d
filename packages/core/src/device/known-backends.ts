import type { Backend } from '../backend/index.js'
import { invalidArgument } from '../errors.js'

type Env = Readonly<Record<string, string | undefined>>

interface BackendModule {
  readonly default: (options: { readonly env: Env }) => Backend | readonly Backend[]
}

/**
 * First-party backends by name. Each is an optional peer: the imports are literal so that bundlers see them, caught so
 * that bundlers do without what is not installed, and cast so that core's types do not depend on it either.
 */
const KNOWN: Readonly<Record<string, () => Promise<BackendModule>>> = {
  cpu: () => import('@polymla/backend-cpu' as string).catch(rethrow),
  cuda: () => import('@polymla/backend-cuda-hopper' as string).catch(rethrow),
  reference: () => import('@polymla/backend-reference' as string).catch(rethrow),
  // A backend per vendor, and per library that POLYMLA_VENDOR_PLUGIN names.
  vendor: () => import('@polymla/backend-vendor' as string).catch(rethrow),
}

function rethrow(failure: unknown): never {
  throw failure
}

/** What `POLYMLA_BACKENDS` names: the only backends that are probed. Null when it is empty. */
export function allowList(env: Env): string[] | null {
  const names = (env.POLYMLA_BACKENDS ?? '').split(',').flatMap((name) => name.trim() || [])
  return names.length > 0 ? names : null
}

/** What discovery tells. */
export interface Discovery {
  /** Whether there is a backend of that name already. */
  registered(name: string): boolean
  /** Called with each backend, which comes from a package and may be anything. */
  take(backend: Backend): void
  /** Called with each name and what went wrong, in `take` too. */
  fail(name: string, failure: unknown): void
}

/**
 * Loads the known backends, or those that `POLYMLA_BACKENDS` names: known names, vendors, or packages whose default
 * export makes a backend or several. One that is not installed is left out when nobody named it; any other failure is
 * passed on. Backends with `onRequest` are taken only where they are named.
 */
export async function discoverBackends(env: Env, { registered, take, fail }: Discovery): Promise<void> {
  const allowed = allowList(env)
  const names = (allowed ?? Object.keys(KNOWN)).filter((name) => !registered(name))
  await Promise.all(
    names.map(async (name) => {
      try {
        for (const backend of await load(name, env)) {
          if (!backend?.onRequest || backend.name === name) take(backend)
        }
      } catch (failure) {
        if (allowed || !isMissing(failure)) fail(name, failure)
      }
    }),
  )
}

/** A vendor's backend that is only taken when it is named, or null. */
export async function discoverOnRequest(name: string, env: Env): Promise<Backend | null> {
  if (allowList(env)) return null
  const backend = await vendorBackend(name, env)
  return backend?.onRequest ? backend : null
}

async function load(name: string, env: Env): Promise<readonly Backend[]> {
  if (Object.hasOwn(KNOWN, name)) return made(name, await KNOWN[name](), env)
  const backend = await vendorBackend(name, env)
  return backend ? [backend] : made(name, await import(/* @vite-ignore */ name), env)
}

async function vendorBackend(name: string, env: Env): Promise<Backend | null> {
  // Not what is the name of a package with a scope or a path.
  if (!/^[a-z][a-z0-9-]*$/.test(name)) return null
  try {
    const backends = made('vendor', await KNOWN.vendor(), env)
    return backends.find((backend) => backend?.name === name) ?? null
  } catch (failure) {
    if (isMissing(failure)) return null
    throw failure
  }
}

/** First-party packages are told the environment; others are called as their users call them. */
function made(name: string, module: BackendModule, env: Env): readonly Backend[] {
  if (typeof module.default !== 'function') {
    throw invalidArgument(`default export of ${name}`, 'a function that makes a backend', module.default)
  }
  const result =
    name === 'vendor' ? module.default({ env }) : (module.default as () => Backend | readonly Backend[])()
  return Array.isArray(result) ? result : [result as Backend]
}

/** Whether the package itself is absent, as opposed to something it needs. */
function isMissing(failure: unknown): boolean {
  const { code, message } = (failure ?? {}) as { code?: string; message?: string }
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') &&
    /@polymla\/backend-[a-z-]+['"]/.test(message ?? '')
  )
}
