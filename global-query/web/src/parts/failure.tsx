// What went wrong, in plain words, and what can be done.
import { ApiError } from "../api";
import type { Problem } from "../types";

interface Words {
  title: string;
  advice: string;
}

function words(error: unknown): Words {
  const status = error instanceof ApiError ? error.status : -1;
  switch (status) {
    case 0:
      return { title: "The service does not answer", advice: "It may be stopped or restarting, or the network between you and it is down." };
    case 401:
      return { title: "This service wants a token", advice: "Ask whoever runs it for one that may query." };
    case 403:
      return { title: "Your token does not allow this", advice: "It needs the scope “query”." };
    case 413:
      return { title: "The query is too long", advice: "Shorten the condition." };
    case 422:
      return { title: "The query cannot be run as it is", advice: "" };
    case 429:
      return { title: "The service takes no more queries now", advice: "It limits how many it runs. Try again in a moment." };
    case 503:
      return { title: "The service is too busy", advice: "Try again in a moment." };
    default:
      return { title: "The query failed", advice: "" };
  }
}

export function Failure({ error, onRetry, onToken }: { error: unknown; onRetry: () => void; onToken: () => void }) {
  const { title, advice } = words(error);
  const problem: Problem = error instanceof ApiError ? error.problem : { detail: String(error) };
  const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
  const details = (problem.errors ?? []).map((e) => e.message).filter((m): m is string => Boolean(m));
  return (
    <section class="card failure" role="alert">
      <h2>{title}</h2>
      {advice && <p>{advice}</p>}
      {problem.detail && !refused && details.length === 0 && error instanceof ApiError && error.status !== 0 && <p class="muted">{problem.detail}</p>}
      {details.map((text) => (
        <pre key={text} class="problem">
          {text}
        </pre>
      ))}
      <p class="actions">
        {refused ? (
          <button type="button" onClick={onToken}>
            Enter a token
          </button>
        ) : (
          <button type="button" onClick={onRetry}>
            Try again
          </button>
        )}
      </p>
    </section>
  );
}
