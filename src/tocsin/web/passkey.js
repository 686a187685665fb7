// The sign-in page's button for passkeys; without this script the page works as it is.
'use strict'
;(() => {
  const place = document.querySelector('[data-passkey]')
  // A passkey belongs to a host name: under another one the browser would only refuse.
  if (!place || !window.PublicKeyCredential || location.hostname !== place.dataset.rp) return
  const button = place.querySelector('button')
  const said = place.querySelector('[role=alert]')

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')

  async function post(path, body) {
    const response = await fetch(place.dataset.passkey + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(answer.detail)
    return answer
  }

  async function signIn() {
    const options = await post('/options', {})
    const made = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } })
    const { clientDataJSON, authenticatorData, signature, userHandle } = made.response
    const credential = {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      clientExtensionResults: {},
      response: {
        clientDataJSON: text(clientDataJSON),
        authenticatorData: text(authenticatorData),
        signature: text(signature),
        ...(userHandle && userHandle.byteLength ? { userHandle: text(userHandle) } : {}),
      },
    }
    const { next } = await post('', { credential, next: place.dataset.next })
    // What stood behind the # of the link that led here never reaches a server: it is put back here.
    location.replace(next.includes('#') ? next : next + location.hash)
  }

  function say(what) {
    said.textContent = what
    said.hidden = !what
  }

  button.addEventListener('click', async () => {
    say('')
    button.disabled = true
    try {
      await signIn()
    } catch (error) {
      const declined = error.name === 'NotAllowedError' || error.name === 'AbortError'
      say(declined ? 'Nobody was signed in: no passkey was chosen, or it took too long.' : `Not signed in: ${error.message}.`)
      button.disabled = false
    }
  })
  place.hidden = false
})()
