// Trims FlashMLA's golden files to the fixtures in ../fixtures, which its README describes.
//
//   node packages/conformance/scripts/make-fixture.mjs DENSE.safetensors.gz SPARSE.safetensors.gz
//
// Needs a build. Writes dense.safetensors.gz and sparse.safetensors.gz, the same bytes for the same Node version.

import { readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { readSafetensors, tensorElements, writeSafetensors } from '@polymla/conformance'
import { toFloat32 } from '@polymla/core'

/**
 * What stays of each case: requests (queries in prefill) by index, and every `headStep`-th head. Both are independent
 * of each other in attention, so what FlashMLA computed for the rest still holds.
 */
const KEPT = {
  dense: {
    bf16_h16_mtp: { requests: [0, 2, 4], headStep: 1 },
    bf16_h128: { requests: [1, 2], headStep: 4 },
    fp16_h64: { requests: [0], headStep: 2 },
    bf16_h7_odd: { requests: [0, 1, 2], headStep: 1 },
    fp8_h64: { requests: [0, 2], headStep: 2 },
    fp8_h16_mtp: { requests: [1], headStep: 1 },
  },
  sparse: {
    v32_h64: { requests: [0], headStep: 1 },
    v32_h128_blk2: { requests: [0], headStep: 2 },
    model1_extra: { requests: [0, 1], headStep: 1 },
    prefill_d576: { requests: [1, 7], headStep: 1 },
    prefill_d512: { requests: [0], headStep: 2 },
  },
}

/** How many pages (rows in prefill) that nothing refers to a case has at least, all NaN. */
const POISONED = 2

const ATTRIBUTION =
  'Tensors named *_flashmla were computed by FlashMLA (deepseek-ai/FlashMLA 9241ae3; e4m3 cases: ' +
  'vllm-project/FlashMLA 46d64a8), MIT License, on an NVIDIA H200. ' +
  'Trimmed by packages/conformance/scripts/make-fixture.mjs.'

const [, , densePath, sparsePath] = process.argv
if (!densePath || !sparsePath) {
  console.error('usage: make-fixture.mjs DENSE.safetensors.gz SPARSE.safetensors.gz')
  process.exit(2)
}
trimFile(densePath, 'dense', trimDense)
trimFile(sparsePath, 'sparse', (kept, tensors, scalars) =>
  tensors.has('kv_bytes') ? trimSparse(kept, tensors, scalars) : trimPrefill(kept, tensors, scalars),
)

function trimFile(path, name, trimCase) {
  const golden = readSafetensors(readFileSync(path))
  const cases = {}
  const written = new Map()
  for (const [caseName, scalars] of Object.entries(JSON.parse(golden.metadata.get('cases')))) {
    const prefix = `${caseName}.`
    const own = [...golden.tensors].filter(([tensor]) => tensor.startsWith(prefix))
    const tensors = new Map(own.map(([tensor, value]) => [tensor.slice(prefix.length), value]))
    const kept = KEPT[name][caseName]
    if (!kept) throw new Error(`no rule says what to keep of case ${caseName}`)
    const trimmed = trimCase(kept, tensors, scalars)
    cases[caseName] = { ...trimmed.scalars, kept_requests: kept.requests, kept_head_step: kept.headStep }
    for (const [tensor, value] of trimmed.tensors) written.set(prefix + tensor, value)
  }
  const file = writeSafetensors(written, { attribution: ATTRIBUTION, cases: JSON.stringify(cases) })
  const zipped = gzipSync(file, { level: 9, memLevel: 9 })
  // The operating system's byte of the gzip header; 255 means unknown.
  zipped[9] = 255
  writeFileSync(new URL(`../fixtures/${name}.safetensors.gz`, import.meta.url), zipped)
  console.log(`${name}: ${file.length} bytes, ${zipped.length} compressed`)
}

function trimDense(kept, tensors, scalars) {
  const out = keepRows(kept, tensors, 2)
  const [pageCount, pageSize] = tensors.get('kv').shape
  const pagesOf = (seqlens) => Array.from(tensorElements(seqlens), (length) => Math.ceil(length / pageSize))
  const used = (table, needed) => {
    const width = table.shape[1]
    return tensorElements(table).map((_, i) => (i % width < needed[Math.floor(i / width)] ? 1 : 0))
  }
  const golden = tensors.get('block_table')
  const isGolden = used(golden, pagesOf(tensors.get('seqlens')))
  const poisoned = range(pageCount).filter(
    (page) => !tensorElements(golden).some((id, i) => isGolden[i] && id === page),
  )

  const seqlens = take(tensors.get('seqlens'), 0, kept.requests)
  const needed = pagesOf(seqlens)
  // One column more than the longest request needs, where there is one, so that every row ends in an unused entry.
  const width = Math.min(golden.shape[1], Math.max(...needed) + 1)
  const table = take(take(golden, 0, kept.requests), 1, range(width))
  const isUsed = used(table, needed)
  const entries = tensorElements(table)
  const pages = withPoisoned(
    entries.filter((_, i) => isUsed[i]),
    poisoned,
  )
  out.set('seqlens', seqlens)
  out.set('block_table', {
    ...table,
    data: entries.map((page, i) => (isUsed[i] ? pages.indexOf(page) : page)),
  })
  out.set('kv', take(tensors.get('kv'), 0, pages))
  for (const name of ['descale_q', 'descale_k']) if (tensors.has(name)) out.set(name, tensors.get(name))
  const lens = [...tensorElements(seqlens)]
  const h_q = out.get('q').shape[2]
  return { tensors: out, scalars: { ...scalars, lens, h_q, flashmla_rel_err: flashmlaError(out) } }
}

function trimSparse(kept, tensors, scalars) {
  const out = keepRows(kept, tensors, 2)
  trimTokens(kept, tensors, out, 'kv_bytes', 'indices', 'topk_length')
  if (tensors.has('extra_kv_bytes')) {
    trimTokens(kept, tensors, out, 'extra_kv_bytes', 'extra_indices', 'extra_topk_length')
  }
  return { tensors: out, scalars: { ...scalars, kv_shape: out.get('kv_bytes').shape } }
}

/** Keeps the pages that kept requests see, and poisons every token of them that none sees. */
function trimTokens(kept, tensors, out, kvName, indicesName, lengthName) {
  const kv = tensors.get(kvName)
  const [pageCount, pageSize, , tokenBytes] = kv.shape
  const { indices, visible } = keepIndices(kept, tensors, out, indicesName, lengthName)
  const seen = new Set(indices.filter((index, i) => visible[i] && index >= 0))
  const used = new Set([...seen].map((token) => Math.floor(token / pageSize)))
  const pages = withPoisoned(
    [...used],
    range(pageCount).filter((page) => !used.has(page)),
  )

  const split = tokenBytes === 584 ? [576, 8] : [tokenBytes]
  const parts = (token) => {
    const page = Math.floor(token / pageSize) * pageSize * tokenBytes
    const offset = token % pageSize
    return split.map((bytes, part) => [page + (part === 0 ? 0 : pageSize * split[0]) + offset * bytes, bytes])
  }
  const poison = range(pageCount * pageSize).find((token) => isPoisoned(kv.data, ...parts(token)[0]))
  const data = kv.data.slice()
  for (const token of range(pageCount * pageSize)) {
    if (seen.has(token)) continue
    const [from, to] = [parts(poison), parts(token)]
    from.forEach(([at, bytes], part) => {
      data.copyWithin(to[part][0], at, at + bytes)
    })
  }
  out.set(kvName, take({ ...kv, data }, 0, pages))

  // Entries past topk_length whose page is gone point into one that nothing refers to.
  const unused = pages.findIndex((page) => !used.has(page))
  const renumbered = indices.map((index) => {
    if (index < 0) return index
    const page = pages.indexOf(Math.floor(index / pageSize))
    return (page < 0 ? unused : page) * pageSize + (index % pageSize)
  })
  out.set(indicesName, { ...out.get(indicesName), data: renumbered })
}

function trimPrefill(kept, tensors, scalars) {
  const out = keepRows(kept, tensors, 1)
  const { indices, visible } = keepIndices(kept, tensors, out, 'indices', 'topk_length')
  const kv = tensors.get('kv')
  const rows = [...new Set(indices.filter((index, i) => visible[i] && index >= 0))].sort((a, b) => a - b)
  const found = take(kv, 0, rows)
  const rowBytes = found.data.length / rows.length
  // Prefill keys have no poison of their own: a row of NaN goes before and after the kept ones.
  const data = new Uint8Array((rows.length + POISONED) * rowBytes)
  new Uint16Array(data.buffer).fill(0x7fc0)
  data.set(found.data, rowBytes)
  out.set('kv', { ...kv, shape: [rows.length + POISONED, ...kv.shape.slice(1)], data })
  // Row 0 is poison: entries past topk_length whose row is gone point there.
  const renumbered = indices.map((index) => (index < 0 ? index : rows.indexOf(index) + 1))
  out.set('indices', { ...out.get('indices'), data: renumbered })
  return { tensors: out, scalars }
}

/** The tensors that have an entry per request and head; heads are an axis of q and out, and the second of lse. */
function keepRows({ requests, headStep }, tensors, headAxis) {
  const out = new Map()
  const takeHeads = (tensor, axis) => take(tensor, axis, every(headStep, tensor.shape[axis]))
  for (const [name, tensor] of tensors) {
    if (name === 'attn_sink') {
      out.set(name, takeHeads(tensor, 0))
    } else if (name === 'q' || name.startsWith('out_')) {
      out.set(name, takeHeads(take(tensor, 0, requests), headAxis))
    } else if (name.startsWith('lse_') || name.startsWith('max_logits_')) {
      out.set(name, takeHeads(take(tensor, 0, requests), 1))
    }
  }
  return out
}

/** Kept rows of an index tensor and, entry by entry, whether the row's length lets it count. */
function keepIndices({ requests }, tensors, out, indicesName, lengthName) {
  const kept = take(tensors.get(indicesName), 0, requests)
  out.set(indicesName, kept)
  const topk = kept.shape.at(-1)
  const rowsPerRequest = kept.shape.slice(1, -1).reduce((product, extent) => product * extent, 1)
  const lengths = tensors.has(lengthName) ? take(tensors.get(lengthName), 0, requests) : undefined
  if (lengths) out.set(lengthName, lengths)
  const limits = lengths && tensorElements(lengths)
  const indices = tensorElements(kept).slice()
  const visible = indices.map((_, i) => {
    const request = Math.floor(i / topk / rowsPerRequest)
    return limits === undefined || i % topk < limits[request] ? 1 : 0
  })
  return { indices, visible }
}

/** Sorted ids of the used pages and of some others, spread over those that may be had. */
function withPoisoned(used, others) {
  const chosen = range(POISONED).map((i) => others[Math.floor((i * (others.length - 1)) / (POISONED - 1))])
  return [...used, ...chosen].sort((a, b) => a - b)
}

/** The e4m3 part of a token that must not be read is NaN throughout. */
function isPoisoned(bytes, at) {
  return bytes.subarray(at, at + 448).every((byte) => byte === 0x7f)
}

/** A tensor with only these entries of one axis, in this order. */
function take(tensor, axis, indices) {
  const { shape, data } = tensor
  const outer = shape.slice(0, axis).reduce((product, extent) => product * extent, 1)
  const block = data.length / outer / shape[axis]
  const taken = new Uint8Array(outer * indices.length * block)
  let at = 0
  for (let i = 0; i < outer; i++) {
    for (const index of indices) {
      const from = (i * shape[axis] + index) * block
      taken.set(data.subarray(from, from + block), at)
      at += block
    }
  }
  return { dtype: tensor.dtype, shape: shape.with(axis, indices.length), data: taken }
}

/** Relative error of FlashMLA's output against float64, by 2-norm. */
function flashmlaError(tensors) {
  const output = tensors.get('out_flashmla')
  const found = toFloat32(tensorElements(output), output.dtype === 'F16' ? 'f16' : 'bf16')
  const reference = tensorElements(tensors.get('out_ref'))
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
  return (
    norm(Float64Array.from(reference, (value, i) => found[i] - value)) / norm(Float64Array.from(reference))
  )
}

function range(count) {
  return Array.from({ length: count }, (_, i) => i)
}

function every(step, count) {
  return range(count).filter((i) => i % step === 0)
}
