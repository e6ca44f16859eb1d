import { invalidArgument } from '../errors.js'
import { type KvLayout, kvLayout } from '../kv-cache/formats.js'
import { object } from './checks.js'

/** The checked layout of a problem's cache. Throws `POLYMLA_INVALID_ARGUMENT`, also for a cache in place of its layout. */
export function cacheLayout(path: string, given: KvLayout): KvLayout {
  if ('layout' in object(path, given)) {
    throw invalidArgument(path, 'the layout of a KV cache', given, "Pass the cache's `layout`")
  }
  return kvLayout(given)
}
