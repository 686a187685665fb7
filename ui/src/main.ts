import { mount } from 'svelte'
import App from './App.svelte'
import { isAbort } from './lib/client'
import { currentTheme, applyTheme } from './lib/theme'
import './styles/tokens.css'
import './styles/base.css'

// What a page that was left asked for is called off, and nobody waits to hear of it.
addEventListener('unhandledrejection', (event) => isAbort(event.reason) && event.preventDefault())
applyTheme(currentTheme(new URLSearchParams(location.search).get('theme') ?? ''))
mount(App, { target: document.getElementById('app')! })
