/** A maker of accelerators, and what its devices need. */
export interface Vendor {
  /** The part of a device id before the colon: `metax` of `metax:0`. */
  readonly id: string
  /** Whose devices, in words. */
  readonly devices: string
  /** The vendor's toolkit, and where it installs itself; what is there tells which machines could have a device. */
  readonly toolkit: string
  readonly folders: readonly string[]
  /** What to do where there is no library; default: to build one and name it. */
  readonly fix?: string
}

/** The vendors whose devices are listed with a reason even where nothing is installed for them. */
export const VENDORS: readonly Vendor[] = [
  { id: 'metax', devices: 'MetaX GPUs', toolkit: 'MACA', folders: ['/opt/maca'] },
  { id: 'musa', devices: 'Moore Threads GPUs', toolkit: 'MUSA', folders: ['/usr/local/musa'] },
  { id: 'dcu', devices: 'Hygon DCUs', toolkit: 'DTK', folders: ['/opt/dtk'] },
  { id: 'corex', devices: 'Iluvatar CoreX GPUs', toolkit: 'CoreX', folders: ['/usr/local/corex'] },
  { id: 'tyllm', devices: 'Intellifusion processors', toolkit: 'TyTVM', folders: [] },
  { id: 'hip', devices: 'AMD GPUs', toolkit: 'ROCm', folders: ['/opt/rocm'] },
]

/** Not among them: its devices are listed by the backend for Hopper GPUs, and only others take the portable kernels. */
export const NVIDIA: Vendor = {
  id: 'cuda',
  devices: 'NVIDIA GPUs that are no Hopper GPUs',
  toolkit: 'CUDA',
  folders: [],
  fix: 'Build the portable kernels for its compute capability, such as 8.0: POLYMLA_CUDA_ARCHS=80 npx -y pnpm@10 build',
}
