import * as FastCheck from "effect/FastCheck"
import { historyOf, play } from "./test/simulation/scheduleHistory.ts"
const all = FastCheck.sample(historyOf, { seed: 1, numRuns: 100 })
for (let i = 0; i < 30; i++) play(all[i]!)
const c = process.cpuUsage()
for (let i = 0; i < 100; i++) { play(all[i]!) }
console.log(process.cpuUsage(c).user/1e6)
