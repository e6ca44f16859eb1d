import { describeDenseGrid } from './dense-grid.fixtures.js'

describeDenseGrid('bf16')
