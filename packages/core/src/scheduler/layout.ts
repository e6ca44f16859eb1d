/** Int32 columns of one partition's row; the layout of FlashMLA's `DecodingSchedMeta` (9241ae3). */
export const SCHEDULE_STRIDE = 8

/** First request of the row; equals the batch in an idle row. */
export const BEGIN_REQUEST = 0
/** Last request of the row, inclusive. */
export const END_REQUEST = 1
/** First page of the first request. */
export const BEGIN_PAGE = 2
/** Page after the last one, in the last request; 0 when that request has length 0. */
export const END_PAGE = 3
/** Index, within the first request, of the row's first split. */
export const BEGIN_SPLIT = 4
/** 1 when the first request consists of several splits, so that its results go to scratch. */
export const FIRST_IS_SPLIT = 5
/** The same for the last request. */
export const LAST_IS_SPLIT = 6
/** Always 0. */
export const PAD = 7
