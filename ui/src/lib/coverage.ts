// Gaps of coverage, as the core names them, in the order of the path from a thing to a person.

export interface Finding { kind: string; subject: string; text: string }
export interface CoverageAnswer { findings: Finding[]; watched: Record<string, number> }

/** What each kind is called, and the page on which the subject is seen. */
export const GAPS: Record<string, { title: string; page: string }> = {
  nothing_watched: { title: 'Nothing is watched yet', page: '/checks' },
  service_without_check: { title: 'Services that no check looks at', page: '/services/{}' },
  check_without_rule: { title: 'Checks that tell nobody', page: '/checks/{}' },
  check_not_watching: { title: 'Checks that do not watch', page: '/checks/{}' },
  job_with_problem: { title: 'Scrape jobs with a problem', page: '/targets?q={}' },
  job_without_target: { title: 'Scrape jobs without a target', page: '/targets' },
  target_not_stored: { title: 'Targets whose series are not all stored', page: '/targets?q={}' },
  target_without_rule: { title: 'Targets that no rule looks at', page: '/targets?q={}' },
  rule_without_route: { title: 'Rules whose alerts reach nobody', page: '/rules?q={}' },
  route_without_person: { title: 'Routes that lead to nobody', page: '/oncall' },
}

export function grouped(findings: Finding[]): { kind: string; title: string; findings: Finding[] }[] {
  const order = Object.keys(GAPS)
  const rank = (kind: string) => (order.indexOf(kind) + order.length + 1) % (order.length + 1) // unknown kinds last
  return [...new Set(findings.map((one) => one.kind))]
    .sort((a, b) => rank(a) - rank(b))
    .map((kind) => ({ kind, title: GAPS[kind]?.title ?? kind.replaceAll('_', ' '), findings: findings.filter((one) => one.kind === kind) }))
}
