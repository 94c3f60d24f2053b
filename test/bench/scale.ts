/** `npm run bench:scale`: what becomes of large images, long histories and many jobs. */
import * as FS from "node:fs"
import * as Growth from "./growth.ts"
import { largeImage, sparseImages } from "./largeImage.ts"
import { manyJobs } from "./manyJobs.ts"
import { manyRevisions } from "./manyRevisions.ts"
import * as Markdown from "./markdown.ts"
import type { Part } from "./part.ts"
import { say } from "./part.ts"

export const scale: Part = async (options) => {
  const troubles: Array<string> = []
  const trouble = (text: string) => {
    say(text)
    troubles.push(text)
  }
  const sizes = await largeImage(options, trouble)
  FS.rmSync(`${options.folder}/small`, { recursive: true, force: true })
  FS.rmSync(`${options.folder}/large`, { recursive: true, force: true })
  const sparse = await sparseImages(options, trouble)
  const revisions = await manyRevisions(options, trouble)
  const jobs = await manyJobs(options, trouble)
  const sections = [
    "Time and peak memory; how many times the processor time grew with ten times the input. Start-up is in all of them " +
    "but the map's.",
    Growth.table("1 TiB", "10 TiB", sizes),
    Growth.table("10 GiB", "100 GiB", sparse),
    Growth.table("100 revisions", "1,000 revisions", revisions),
    Growth.table("100 jobs", "1,000 jobs", jobs.rows),
    `An idle scheduler takes ${
      jobs.idle.map(({ jobs, share }) =>
        `${(share * 100).toFixed(1)} % of a processor with ${Markdown.count(jobs)} jobs`
      )
        .join(", ")
    }.`,
    ...troubles.map((text) => `**Failed:** ${text}`)
  ]
  return { title: "Scale", markdown: sections.join("\n\n"), data: { sizes, sparse, revisions, jobs, troubles } }
}
