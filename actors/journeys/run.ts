// Takes a profile through its journeys: in, from step to step, and out. Pure: everything that happens comes in, everything that
// comes of it goes out. The profile is what it is after the event.
import type { EventMatch, JourneyStep } from '../../shared/contract/config/segment-config.ts';
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { Activation, AuditFact } from '../../shared/contract/outbox.ts';
import type { Template } from '../../shared/contract/template.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { momentOfTime } from '../../shared/kernel/time-zone.ts';
import { isTrue } from '../attributes/evaluate.ts';
import { compareMarks, type Mark, type SingleState } from '../attributes/states.ts';
import { zoneOf } from '../sending/rules.ts';
import type { JourneyRule, Match } from './compile.ts';
import { dueOf } from './due.ts';
import { drawBranch } from './split.ts';
import {
  type JourneyPast,
  type JourneyPasts,
  type JourneyState,
  type Journeys,
  NO_PAST,
  newerMark,
} from './states.ts';

/** What journeys need of the profile that goes through them. */
export interface Traveller {
  readonly profileId: string;
  readonly journeys: Journeys;
  readonly pasts: JourneyPasts;
}

export interface JourneyRules {
  readonly segment: string;
  readonly configVersion: number;
  /** In the order of the config. */
  readonly journeys: readonly JourneyRule[];
  /** Also of earlier configs: whoever is inside goes on by the one by which it came in. */
  readonly byDef: ReadonlyMap<string, JourneyRule>;
  /** By name: where they go and what they say. */
  readonly activations: ReadonlyMap<string, { readonly to: readonly string[]; readonly payload: Template }>;
}

export interface Happening {
  /** The same one gives the same activation ids. */
  readonly id: string;
  /** Log time. */
  readonly nowMs: number;
  /** The event, and the key events that it is. */
  readonly event?: { readonly mark: Mark; readonly hits: readonly string[] };
  /** Audiences that the profile has come into. */
  readonly entered: readonly string[];
}

/** What the profile is to expressions, with what journeys have set so far. */
export type ContextOf = (set: Readonly<Record<string, SingleState>>) => ExpressionContext;

export interface Travelled {
  readonly journeys: Journeys;
  readonly pasts: JourneyPasts;
  /** Attributes that were written. */
  readonly set: Readonly<Record<string, SingleState>>;
  readonly activations: readonly Omit<Activation, 'keys'>[];
  readonly facts: readonly AuditFact[];
}

/** Steps of one journey at a time: after an outage the rest is taken with the next timer. */
const STEPS_AT_ONCE = 200;
const ID_LENGTH = 22;

export function travel(
  traveller: Traveller,
  happening: Happening,
  rules: JourneyRules,
  contextOf: ContextOf,
): Travelled {
  const run = new Run(traveller, happening, rules, contextOf);
  run.dropUnknown();
  run.byTime();
  for (const rule of rules.journeys) run.byHappening(rule);
  run.byConditions();
  return run.result();
}

class Run {
  readonly #profileId: string;
  readonly #happening: Happening;
  readonly #rules: JourneyRules;
  readonly #contextOf: ContextOf;
  readonly #journeys: Record<string, JourneyState>;
  readonly #pasts: Record<string, JourneyPast>;
  #set: Readonly<Record<string, SingleState>> = {};
  #context: ExpressionContext | undefined;
  readonly #activations: Omit<Activation, 'keys'>[] = [];
  readonly #facts: AuditFact[] = [];

  constructor(traveller: Traveller, happening: Happening, rules: JourneyRules, contextOf: ContextOf) {
    this.#profileId = traveller.profileId;
    this.#happening = happening;
    this.#rules = rules;
    this.#contextOf = contextOf;
    this.#journeys = { ...traveller.journeys };
    this.#pasts = { ...traveller.pasts };
  }

  result(): Travelled {
    return {
      journeys: this.#journeys,
      pasts: this.#pasts,
      set: this.#set,
      activations: this.#activations,
      facts: this.#facts,
    };
  }

  /** Of journeys that no config says anything of any more. */
  dropUnknown(): void {
    const names = new Set(this.#rules.journeys.map(({ name }) => name));
    for (const [name, { def }] of Object.entries(this.#journeys))
      if (!names.has(name) || !this.#rules.byDef.has(def)) this.#leave(name, 'config');
  }

  /** What is due, the earliest first. */
  byTime(): void {
    const { nowMs } = this.#happening;
    for (let steps = 0; steps < STEPS_AT_ONCE; steps++) {
      const due = Object.entries(this.#journeys)
        .map(([name, state]) => ({ name, state, dueMs: dueOf(state, this.#ruleOf(state)) }))
        .filter(({ name, dueMs }) => dueMs !== undefined && dueMs <= nowMs && !this.#isPaused(name))
        .sort((a, b) => a.dueMs! - b.dueMs! || (a.name < b.name ? -1 : 1))[0];
      if (!due) return;
      if (due.state.dueMs === due.dueMs) this.#goOn(due.name, due.state, due.dueMs!);
      else this.#leave(due.name, 'stale');
    }
  }

  byHappening(rule: JourneyRule): void {
    const { event } = this.#happening;
    const state = this.#journeys[rule.name];
    const inside = state && this.#ruleOf(state);
    if (event && this.#ends(rule, inside, state, event)) return;
    if (state && inside) {
      if (event && this.#isAwaited(state, inside, event)) this.#goOn(rule.name, state, this.#happening.nowMs);
      return;
    }
    const entry = this.#entryOf(rule);
    if (entry) this.#enter(rule, entry);
  }

  /** Whether the event is a goal or an exit: noted in any case, and whoever is inside leaves, unless it came in later. */
  #ends(
    rule: JourneyRule,
    inside: JourneyRule | undefined,
    state: JourneyState | undefined,
    { mark, hits }: NonNullable<Happening['event']>,
  ): boolean {
    const by = inside ?? rule;
    const isGoal = by.goal !== undefined && this.#holds(by.goal, hits);
    const isExit = by.exits.some((exit) => exit.kind === 'event' && this.#holds(exit.match, hits));
    if (!isGoal && !isExit) return false;
    const past = this.#pasts[rule.name] ?? NO_PAST;
    // A goal that is reached by whoever never came in is none.
    this.#pasts[rule.name] = { ...past, mark: newerMark(past.mark, mark) };
    if (state && compareMarks(mark, state.entry) > 0) this.#leave(rule.name, isGoal ? 'goal' : 'exit');
    return true;
  }

  #isAwaited(
    state: JourneyState,
    rule: JourneyRule,
    { mark, hits }: NonNullable<Happening['event']>,
  ): boolean {
    const step = rule.config.steps[state.step];
    if (step?.kind !== 'wait_for' || !('on' in step.until) || this.#isPaused(rule.name)) return false;
    return compareMarks(mark, state.entry) > 0 && this.#holds(this.#matchOf(step.until, rule), hits);
  }

  #matchOf({ on, when }: EventMatch, rule: JourneyRule): Match {
    return {
      on,
      when: when === null ? undefined : rule.expressions.get(when),
      where: `journeys.${rule.name}.steps`,
    };
  }

  /** The mark with which the profile comes in now; undefined: it does not. */
  #entryOf(rule: JourneyRule): Mark | undefined {
    const { config, enter } = rule;
    if (config.draft || config.paused) return undefined;
    const { id, nowMs, event, entered } = this.#happening;
    const past = this.#pasts[rule.name] ?? NO_PAST;
    if (config.reentry === 'never' && past.entered > 0) return undefined;
    if (config.reentry === 'unless_goal' && past.goal) return undefined;
    if (!enter) {
      const { enter: by } = config;
      return 'entered' in by && entered.includes(by.entered) ? { atMs: nowMs, messageId: id } : undefined;
    }
    if (!event || !this.#holds(enter, event.hits)) return undefined;
    return past.mark && compareMarks(event.mark, past.mark) <= 0 ? undefined : event.mark;
  }

  #enter(rule: JourneyRule, entry: Mark): void {
    const { name, def } = rule;
    const { nowMs } = this.#happening;
    const past = this.#pasts[name] ?? NO_PAST;
    this.#pasts[name] = { ...past, entered: past.entered + 1 };
    this.#facts.push({ kind: 'journey_entered', journey: name, profileId: this.#profileId });
    const id = sha256Base64Url(
      JSON.stringify([this.#rules.segment, 'journey', name, entry.messageId]),
      ID_LENGTH,
    );
    const { configVersion: version } = this.#rules;
    const none = { step: -1, stepId: '', movedMs: nowMs, dueMs: null, taken: 0, acts: 0 };
    const state: JourneyState = { id, def, version, entry, enteredMs: nowMs, ...none };
    this.#take(name, state, rule, 0, nowMs);
  }

  /** From the step at which it waits to the next. */
  #goOn(name: string, state: JourneyState, momentMs: number): void {
    const rule = this.#ruleOf(state)!;
    this.#take(name, state, rule, rule.config.steps[state.step]?.next ?? rule.config.steps.length, momentMs);
  }

  /** Takes steps until one waits, or there are no more. */
  #take(name: string, before: JourneyState, rule: JourneyRule, from: number, momentMs: number): void {
    const { steps } = rule.config;
    let state = before;
    for (let at = from; at < steps.length; ) {
      const step = steps[at]!;
      state = { ...state, step: at, stepId: step.id, movedMs: momentMs, taken: state.taken + 1 };
      const dueMs = this.#waitsUntil(step, rule, momentMs);
      if (dueMs !== 'no') {
        this.#journeys[name] = { ...state, dueMs };
        return;
      }
      if (state.taken - before.taken > STEPS_AT_ONCE) {
        this.#leave(name, 'loop');
        return;
      }
      const done = this.#do(step, state, rule);
      state = { ...state, acts: state.acts + done.acts };
      at = done.next;
    }
    this.#journeys[name] = state;
    this.#leave(name, 'end');
  }

  /** `no`: the step does not wait; null: not by time alone. */
  #waitsUntil(step: JourneyStep, rule: JourneyRule, momentMs: number): number | null | 'no' {
    switch (step.kind) {
      case 'wait':
        return momentMs + step.ms;
      case 'wait_time':
        return momentOfTime(step.time, this.#zoneOf(step.zone), momentMs);
      case 'wait_date': {
        const date = this.#dateOf(step.date, rule);
        const latest = step.atMostMs === null ? Number.POSITIVE_INFINITY : momentMs + step.atMostMs;
        const until = Math.min(date ?? Number.NEGATIVE_INFINITY, latest);
        return until > momentMs ? until : 'no';
      }
      case 'wait_for':
        return step.atMostMs === null ? null : momentMs + step.atMostMs;
      default:
        return 'no';
    }
  }

  #zoneOf(text: string): string {
    return zoneOf(text)(() => this.#now());
  }

  #dateOf(text: string, rule: JourneyRule): number | undefined {
    const result = rule.expressions.get(text)!.evaluate(this.#now());
    const value = result.kind === 'value' ? result.value : undefined;
    const ms =
      value instanceof Date ? value.getTime() : typeof value === 'number' ? value : Date.parse(String(value));
    return Number.isFinite(ms) ? ms : undefined;
  }

  #do(
    step: JourneyStep,
    state: JourneyState,
    rule: JourneyRule,
  ): { readonly next: number; readonly acts: number } {
    const behind = (target: number) => (target < 0 ? step.next : target);
    switch (step.kind) {
      case 'decide': {
        const chosen = step.branches.find(
          ({ when }) =>
            when === null || this.#isTrue(rule.expressions.get(when)!, `journeys.${rule.name}.steps`),
        );
        return { next: chosen ? behind(chosen.target) : step.next, acts: 0 };
      }
      case 'split':
        return { next: behind(this.#branchOf(step, rule)), acts: 0 };
      case 'activate':
        return { next: step.next, acts: this.#activate(step.activation, state, rule) };
      case 'set':
        this.#write(step.attribute, rule.expressions.get(step.value)!.evaluate(this.#now()));
        return { next: step.next, acts: 0 };
      default:
        return { next: step.next, acts: 0 };
    }
  }

  /** The same for a profile every time, and for whoever it becomes one with. */
  #branchOf(step: Extract<JourneyStep, { kind: 'split' }>, { name }: JourneyRule): number {
    const past = this.#pasts[name] ?? NO_PAST;
    const known = past.splits[step.id];
    const place = [this.#rules.segment, name, step.id] as const;
    const chosen = drawBranch(step.branches, known, place, this.#profileId);
    if (chosen.name !== known)
      this.#pasts[name] = { ...past, splits: { ...past.splits, [step.id]: chosen.name } };
    return chosen.target;
  }

  #activate(activation: string, state: JourneyState, rule: JourneyRule): number {
    const sent = this.#rules.activations.get(activation);
    if (!sent) {
      const reason = `there is no activation ${activation} any more`;
      this.#facts.push({ kind: 'condition_failed', where: `journeys.${rule.name}.steps`, reason });
      return 0;
    }
    const { id, nowMs } = this.#happening;
    this.#activations.push({
      id: sha256Base64Url(JSON.stringify([state.id, state.acts]), ID_LENGTH),
      name: activation,
      segment: this.#rules.segment,
      profileId: this.#profileId,
      payload: sent.payload.render(this.#now()) as Record<string, unknown>,
      ...(sent.to.length > 0 && { to: sent.to }),
      cause: { journey: rule.name, step: state.stepId, messageId: id },
      at: new Date(nowMs).toISOString(),
      configVersion: this.#rules.configVersion,
    });
    return 1;
  }

  #write(attribute: string, result: { readonly kind: string; readonly value?: unknown }): void {
    if (result.kind !== 'value' || result.value === null || result.value === undefined) return;
    const { id, nowMs } = this.#happening;
    const state: SingleState = { kind: 'single', value: result.value, atMs: nowMs, messageId: id };
    this.#set = { ...this.#set, [attribute]: state };
    this.#context = undefined;
  }

  /** Conditions over the profile, of everybody who is inside. */
  byConditions(): void {
    for (const [name, state] of Object.entries(this.#journeys)) {
      if (this.#isPaused(name)) continue;
      const rule = this.#ruleOf(state)!;
      const where = `journeys.${name}`;
      if (rule.exits.some((exit) => exit.kind === 'condition' && this.#isTrue(exit.when, `${where}.exit`))) {
        this.#leave(name, 'exit');
        continue;
      }
      const step = rule.config.steps[state.step];
      if (step?.kind !== 'wait_for' || 'on' in step.until) continue;
      if (this.#isTrue(rule.expressions.get(step.until.when)!, `${where}.steps`))
        this.#goOn(name, state, this.#happening.nowMs);
    }
  }

  #leave(name: string, reason: 'goal' | 'exit' | 'stale' | 'end' | 'config' | 'loop'): void {
    const { [name]: left, ...rest } = this.#journeys;
    if (!left) return;
    for (const key of Object.keys(this.#journeys)) delete this.#journeys[key];
    Object.assign(this.#journeys, rest);
    if (reason === 'goal') this.#pasts[name] = { ...(this.#pasts[name] ?? NO_PAST), goal: true };
    const { stepId: step } = left;
    this.#facts.push({ kind: 'journey_left', journey: name, profileId: this.#profileId, reason, step });
  }

  #holds({ on, when, where }: Match, hits: readonly string[]): boolean {
    return hits.includes(on) && (when === undefined || this.#isTrue(when, where));
  }

  #isTrue(expression: Parameters<typeof isTrue>[0], where: string): boolean {
    return isTrue(expression, this.#now(), this.#facts, where);
  }

  #now(): ExpressionContext {
    this.#context ??= this.#contextOf(this.#set);
    return this.#context;
  }

  #ruleOf({ def }: JourneyState): JourneyRule | undefined {
    return this.#rules.byDef.get(def);
  }

  #isPaused(name: string): boolean {
    return this.#rules.journeys.some((rule) => rule.name === name && rule.config.paused);
  }
}
