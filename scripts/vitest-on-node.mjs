// What the GPU tests use of vitest, over node:test: the alias under which bundle-gpu-tests.mjs packs them for machines
// that have a GPU and a bare node.

import { after, before, describe as nodeDescribe, it as nodeIt } from 'node:test'
import { inspect } from 'node:util'
import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect'
import * as chai from 'chai'

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin)

export const expect = (value, message) => chai.expect(value, message)
export { after as afterAll, before as beforeAll }

/** Takes vitest's optional options before or after the body. */
function declare(declareIn, options = {}) {
  const make = (name, ...rest) => {
    const body = rest.find((part) => typeof part === 'function')
    const given = rest.find((part) => typeof part === 'object')
    return declareIn(name, { ...options, ...given }, body)
  }
  make.skipIf = (condition) => declare(declareIn, { ...options, skip: Boolean(condition) })
  make.each =
    (cases) =>
    (name, ...rest) => {
      for (const each of cases) {
        const values = Array.isArray(each) ? each : [each]
        let next = 0
        const named = name.replace(/%[iso]/g, () =>
          inspect(values[next++], { breakLength: Number.POSITIVE_INFINITY }),
        )
        const body = rest.find((part) => typeof part === 'function')
        make(named, ...rest.filter((part) => part !== body), () => body(...values))
      }
    }
  return make
}

export const describe = declare(nodeDescribe)
export const it = declare(nodeIt)
