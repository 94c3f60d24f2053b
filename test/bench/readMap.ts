/** `node test/bench/readMap.ts FILE`: what it takes to load a chunk map, as JSON. A process that does nothing else. */
import { readMap } from "./synthetic.ts"

process.stdout.write(JSON.stringify(readMap(process.argv[2] ?? "")))
