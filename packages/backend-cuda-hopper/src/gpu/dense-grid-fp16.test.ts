import { describeDenseGrid } from './dense-grid.fixtures.js'

describeDenseGrid('f16')
